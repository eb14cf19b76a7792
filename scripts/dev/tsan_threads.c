/* SPDX-License-Identifier: MIT
 * The threads of C11 by those of POSIX, for SANITIZER=thread alone. librdkafka uses the C11 functions; the C
 * library has them call its own POSIX ones directly, past the sanitizer, which then knows nothing of the threads that
 * librdkafka makes, and crashes in them. Here the sanitizer sees each thread, lock and wait. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <threads.h>

/* The C library gives the types of C11 the size and the alignment of the POSIX ones, which is what the C library relies on too. */
_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "a mutex");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "a condition");

static int answer(int error)
{
    return error == 0 ? thrd_success : thrd_error;
}

int thrd_create(thrd_t *thread, thrd_start_t run, void *argument)
{
    /* Both kinds of function return in the same register; what a thread returned is not asked for by librdkafka. */
    return answer(pthread_create(thread, NULL, (void *(*)(void *))(uintptr_t)run, argument));
}

int thrd_join(thrd_t thread, int *result)
{
    void *returned = NULL;
    int error = pthread_join(thread, &returned);
    if (result)
        *result = (int)(intptr_t)returned;
    return answer(error);
}

int thrd_detach(thrd_t thread)
{
    return answer(pthread_detach(thread));
}

int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE
                                                                : PTHREAD_MUTEX_NORMAL);
    int error = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return answer(error);
}

void mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int mtx_lock(mtx_t *mutex)
{
    return answer(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int mtx_trylock(mtx_t *mutex)
{
    int error = pthread_mutex_trylock((pthread_mutex_t *)mutex);
    return error == EBUSY ? thrd_busy : answer(error);
}

int mtx_unlock(mtx_t *mutex)
{
    return answer(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

int cnd_init(cnd_t *condition)
{
    return answer(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy((pthread_cond_t *)condition);
}

int cnd_signal(cnd_t *condition)
{
    return answer(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition)
{
    return answer(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return answer(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex,
                  const struct timespec *restrict until)
{
    int error = pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex,
                                       until);
    return error == ETIMEDOUT ? thrd_timedout : answer(error);
}
