-- SPDX-License-Identifier: MIT
-- lib/grok_patterns.lua: the named patterns of tide.grok. Names and fields are those that Logstash made known; the
-- expressions are written for PCRE2.
return {
  -- numbers and words
  INT = [[[+-]?\d+]], POSINT = [[\b[1-9]\d*\b]], NONNEGINT = [[\b\d+\b]],
  BASE10NUM = [[(?<![\d.+-])[+-]?(?:\d+(?:\.\d*)?|\.\d+)]], NUMBER = [[%{BASE10NUM}]],
  BASE16NUM = [[(?<![0-9A-Fa-f])[+-]?(?:0x)?[0-9A-Fa-f]+]],
  BASE16FLOAT = [[[+-]?(?:0x)?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]*)?]],
  WORD = [[\b\w+\b]], NOTSPACE = [[\S+]], SPACE = [[\s*]], DATA = [[.*?]], GREEDYDATA = [[.*]],
  QUOTEDSTRING = [[(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)]], QS = [[%{QUOTEDSTRING}]],
  UUID = [[[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}]],
  USERNAME = [=[[\w.-]+]=], USER = [[%{USERNAME}]],
  EMAILLOCALPART = [=[[\w!#$%&'*+/=?^`{|}~.-]+]=], EMAILADDRESS = [[%{EMAILLOCALPART}@%{HOSTNAME}]],
  LOGLEVEL = [[(?i:\b(?:trace|debug|notice|info(?:rmation)?|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe|]]
    .. [[alert|emerg(?:ency)?)\b)]],
  -- hosts and addresses
  MAC = [[\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b]],
  IPV4 = [[(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?![\d.]*\d)]],
  IPV6 = [[(?<![:.\w])(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|(?=(?:[0-9A-Fa-f]{0,4}:){2,7})(?:[0-9A-Fa-f]{1,4}]]
    .. [[(?::[0-9A-Fa-f]{1,4}){0,6})?::(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,6}(?::%{IPV4})?|%{IPV4})?)]]
    .. [=[(?:%[\w.-]+)?(?![:\w])]=],
  IP = [[(?:%{IPV6}|%{IPV4})]],
  HOSTNAME = [[\b[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?]]
    .. [[(?:\.[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?)*\b\.?]],
  HOST = [[%{HOSTNAME}]], IPORHOST = [[(?:%{IP}|%{HOSTNAME})]], HOSTPORT = [[%{IPORHOST}:%{POSINT}]],
  -- paths and URIs
  UNIXPATH = [=[(?:/[\w.,:%@+~=#-]*)+]=], WINPATH = [=[(?:[A-Za-z]+:|\\)(?:\\[^\\?*\s]*)+]=],
  PATH = [[(?:%{UNIXPATH}|%{WINPATH})]], TTY = [[/dev/(?:pts|tty(?:[pq])?)(?:\w+)?/?\d+]],
  URIPROTO = [=[[A-Za-z][A-Za-z0-9+.-]*]=], URIHOST = [[%{IPORHOST}(?::%{POSINT})?]],
  URIPATH = [=[(?:/[\w$.+!*'(){},~:;=@#%&-]*)+]=], URIPARAM = [=[\?[\w$.+!*'|(){},~@#%&/=:;?\[\]<>-]*]=],
  URIPATHPARAM = [[%{URIPATH}(?:%{URIPARAM})?]],
  URI = [[%{URIPROTO}://(?:%{USER}(?::[^@\s]*)?@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?]],
  -- dates and times
  MONTH = [[\b(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:tember)?|]]
    .. [[Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b]],
  MONTHNUM = [[(?:0?[1-9]|1[0-2])]], MONTHDAY = [[(?:0[1-9]|[12]\d|3[01]|[1-9])]],
  DAY = [[\b(?:Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)\b]],
  YEAR = [[(?:\d\d){1,2}]], HOUR = [[(?:2[0-3]|[01]?\d)]], MINUTE = [[[0-5]\d]],
  SECOND = [[(?:[0-5]?\d|60)(?:[:.,]\d+)?]],
  TIME = [[(?<!\d)%{HOUR}:%{MINUTE}(?::%{SECOND})?(?!\d)]], DATE_US = [[%{MONTHNUM}[/-]%{MONTHDAY}[/-]%{YEAR}]],
  DATE_EU = [[%{MONTHDAY}[./-]%{MONTHNUM}[./-]%{YEAR}]], DATE = [[(?:%{DATE_US}|%{DATE_EU})]],
  DATESTAMP = [[%{DATE}[- ]%{TIME}]], TZ = [[(?:[APMCE][SD]T|UTC|GMT)]],
  ISO8601_TIMEZONE = [[(?:Z|[+-]%{HOUR}(?::?%{MINUTE}))]],
  TIMESTAMP_ISO8601 = [[%{YEAR}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?(?:%{ISO8601_TIMEZONE})?]],
  HTTPDATE = [[%{MONTHDAY}/%{MONTH}/%{YEAR}:%{TIME} %{INT}]],
  -- logs
  SYSLOGTIMESTAMP = [[%{MONTH} +%{MONTHDAY} %{TIME}]], PROG = [=[[\x21-\x5a\x5c\x5e-\x7e]+]=],
  SYSLOGPROG = [[%{PROG:program}(?:\[%{POSINT:pid}\])?]], SYSLOGHOST = [[%{IPORHOST}]],
  SYSLOGFACILITY = [[<%{NONNEGINT:facility}.%{NONNEGINT:priority}>]],
  SYSLOGBASE = [[%{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?%{SYSLOGHOST:logsource} %{SYSLOGPROG}:]],
  HTTPDUSER = [[(?:%{EMAILADDRESS}|%{USER})]],
  COMMONAPACHELOG = [[%{IPORHOST:clientip} %{HTTPDUSER:ident} %{HTTPDUSER:auth} \[%{HTTPDATE:timestamp}\] ]]
    .. [["(?:%{WORD:verb} %{NOTSPACE:request}(?: HTTP/%{NUMBER:httpversion})?|%{DATA:rawrequest})" ]]
    .. [[%{INT:response} (?:%{INT:bytes}|-)]],
  COMBINEDAPACHELOG = [[%{COMMONAPACHELOG} %{QS:referrer} %{QS:agent}]],
}
