// SPDX-License-Identifier: MIT
// Writing a document: from front to back, untouched bytes are copied as they are, and changes are put where they belong.
// So numbers keep their digits, and objects their order and white space. The same code measures: without a target it only
// counts. Start with write_node() and class writer.
#include <algorithm>

#include "json/inside.hpp"

namespace tide_json_private {

namespace {

class writer {
  public:
    writer(document *from, uint32_t at, char *target) : doc(from), cursor(at), to(target)
    {
    }

    // The changes come in the order of their tokens, so one that lies in a value which is gone comes after the change
    // that took it away.
    void change(const edit &one)
    {
        if (one.at < replaced) // it is within a value that was replaced or removed
            return;
        if (one.what == edit::REPLACE)
            replace(one);
        else if (one.what == edit::APPEND)
            append(one);
        else if (!one.appended)
            remove(one);
    }

    int64_t finish(uint32_t end)
    {
        copy_up_to(end);
        return written;
    }

  private:
    void put(const char *bytes, size_t length)
    {
        if (to)
            copy(to + written, bytes, length);
        written += int64_t(length);
    }

    void put(char c)
    {
        put(&c, 1);
    }

    void copy_up_to(uint32_t end)
    {
        if (end > cursor) {
            put(doc->bytes + cursor, end - cursor);
            cursor = end;
        }
    }

    // A value that was changed itself is written by recursion, which set_member() has bounded; any other is a copy of
    // its text.
    void put_value(const edit &one)
    {
        if (one.value && one.value->edits > 0)
            written += write_node(one.value, TIDE_JSON_WHOLE, to ? to + written : nullptr);
        else
            put(one.text, size_t(one.length));
    }

    // The token of a member's value; for an element of an array that is the element's own.
    uint32_t value_of(const edit &one) const
    {
        return is_object(doc, one.container) ? one.at + 2 : one.at;
    }

    void replace(const edit &one)
    {
        uint32_t value = value_of(one);
        copy_up_to(doc->at[value]);
        put_value(one);
        cursor = end_of_value(doc, value);
        replaced = doc->link[value] + 1;
    }

    // A member is removed together with the comma before it; while no member before it is left, with the comma after it.
    void remove(const edit &one)
    {
        uint32_t value = value_of(one), next = doc->link[value] + 1;
        bool is_last = next == doc->link[one.container];
        replaced = next;
        if (one.at == one.container + 1 || one.at == bare) {
            copy_up_to(doc->at[one.at]);
            cursor = is_last ? end_of_value(doc, value) : doc->at[next + 1];
            bare = next + 1;
        } else {
            copy_up_to(doc->at[one.at - 1]);
            cursor = end_of_value(doc, value);
        }
    }

    // It goes right after what stands last, before the white space in front of the bracket, so that a document with a
    // member on each line keeps its closing line.
    void append(const edit &one)
    {
        uint32_t close = one.at;
        copy_up_to(end_of(doc, close - 1));
        if (close != one.container + 1 && close + 1 != bare)
            put(',');
        else if (appended == close)
            put(',');
        appended = close;
        if (one.prefix)
            put(one.prefix, size_t(one.prefix_length));
        put_value(one);
    }

    document *doc;
    uint32_t cursor; // the bytes before it are written or left out
    char *to;
    int64_t written = 0;
    uint32_t replaced = 0; // changes of tokens before this one do not count
    uint32_t bare = 0;     // the container of this token has no member left before it
    uint32_t appended = 0; // the closing bracket before which something was added
};

} // namespace

// Writes the changes of the tokens (first, last]. A change of `first` itself belongs to the array around it, which is
// not what is written here.
static void write_changes(document *doc, uint32_t first, uint32_t last, writer *out)
{
    const edit *changes = doc->changes;
    sort_changes(doc);
    const uint32_t *from = std::upper_bound(
        doc->order, doc->order + doc->change_count, first,
        [changes](uint32_t at, uint32_t i) { return at < changes[i].at; });
    for (; from < doc->order + doc->change_count && changes[*from].at <= last; from++)
        out->change(changes[*from]);
}

int64_t write_node(document *doc, int32_t node, char *to)
{
    bool whole = node == TIDE_JSON_WHOLE;
    uint32_t first = whole ? 0 : uint32_t(node);
    writer out(doc, whole ? 0 : doc->at[first], to);
    if (doc->change_count > 0)
        write_changes(doc, first, doc->link[first], &out);
    return out.finish(whole ? uint32_t(doc->length) : end_of_value(doc, first));
}

} // namespace tide_json_private

using namespace tide_json_private;

// The bound counts each change as an addition and is never too low. Mostly there is room for it, and then the document
// is written without being measured.
double tide_json_write(tide_json_doc *opened, int32_t node, char *to, size_t room)
{
    auto *doc = static_cast<document *>(opened);
    if (uint64_t(doc->bound) > room) {
        int64_t length = write_node(doc, node, nullptr);
        if (uint64_t(length) > room)
            return -double(length);
    }
    return double(write_node(doc, node, to));
}

// Without a change the text lies in the document already. With one it is measured first, since the bound may be far
// larger than what the arena should give for it.
int tide_json_text(tide_json_doc *opened, int32_t node)
{
    auto *doc = static_cast<document *>(opened);
    tide_json *json = doc->json;
    if (doc->edits == 0) {
        uint32_t from = doc->at[node];
        json->bytes = doc->bytes + from;
        json->length = int32_t(end_of_value(doc, uint32_t(node)) - from);
        return TIDE_OK;
    }
    int64_t length = write_node(doc, node, nullptr);
    if (length > INT32_MAX)
        return tide_fail(TIDE_EDATA, "the value has more than 2 GiB");
    auto *text = static_cast<char *>(of(doc)->memory.take(size_t(length)));
    write_node(doc, node, text);
    json->bytes = text;
    json->length = int32_t(length);
    return TIDE_OK;
}
