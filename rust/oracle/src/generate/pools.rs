//! Words and values that are close to each other, as JSON text.

pub(super) const TOOLS: [&str; 9] = [
    "x",
    "get_x",
    "get_y",
    "get_",
    "X",
    "a*b",
    "é",
    "delete_repo",
    "a/b~c",
];

/// Keys under `tools`; the first one with `a` and `b` is a literal name, the second one a glob.
pub(super) const PATTERNS: [&str; 14] = [
    "x", "get_x", "*", "get_*", "*_x", "?", "g?t_x", "get_?", "a\\*b", "a*b", "delete_*", "*e*", "a/b~c",
    "??*",
];

pub(super) const CATEGORIES: [&str; 5] = ["Read", "Write", "Execute", "Destructive", "Financial"];

pub(super) const NUMBERS: [&str; 26] = [
    "1",
    "0",
    "2",
    "1.0",
    "1e0",
    "-0",
    "0.5",
    "3",
    "5",
    "-1",
    "2.5",
    "10E-1",
    "9007199254740992",
    "9007199254740993",
    "9007199254740993.0",
    "1e400",
    "-1e400",
    "1e308",
    "9.99e307",
    "0.1",
    "0.10",
    "1e-6",
    "0.0000001",
    "12345678901234567890",
    "1000000000000",
    "1000000000000.000001",
];

/// Members of arguments.
pub(super) const KEYS: [&str; 8] = ["a", "b", "list", "obj", "a.b", "url", "A", ""];

/// Paths of a single value.
pub(super) const SINGLE_PATHS: [&str; 12] = [
    "args.a",
    "args.b",
    "args.list",
    "args.obj",
    "args.obj.a",
    "args.list[0]",
    "args.list[1].a",
    "args[\\\"a.b\\\"]",
    "args.url",
    "args[\\\"\\\"]",
    "args.A",
    "args.obj.obj.b",
];

pub(super) const MANY_PATHS: [&str; 6] = [
    "args.list[*]",
    "args.list[*].a",
    "args.list[*][*]",
    "args.obj.list[*]",
    "args.list[*].list[*].a",
    "args.a[*]",
];

/// Paths of strings that are not arguments.
pub(super) const TEXT_PATHS: [&str; 8] = [
    "tool",
    "server",
    "session",
    "grant.id",
    "grant.labels.team",
    "grant.labels[\\\"a.b\\\"]",
    "category",
    "risk",
];

pub(super) const TEXTS: [&str; 18] = [
    r#""a""#,
    r#""""#,
    r#""b""#,
    r#""ab""#,
    r#""A""#,
    r#""é""#,
    r#""\u00e9""#,
    r#""aé\ud83d\ude00""#,
    r#""1""#,
    r#""x""#,
    r#""s1""#,
    r#""Read""#,
    r#""high""#,
    r#""red""#,
    r#""g1""#,
    r#""a\nb""#,
    r#""srv""#,
    r#""get_x""#,
];

pub(super) const FILES: [&str; 14] = [
    r#""/w""#,
    r#""/w/x""#,
    r#""/w/""#,
    r#""/""#,
    r#""//w//x/.""#,
    r#""/w/../x""#,
    r#""/w/../../w/x""#,
    r#""/w-evil""#,
    r#""w""#,
    r#""/x/./w""#,
    r#""/w\u0000""#,
    r#""/w/..""#,
    r#""/w/.../x""#,
    r#""""#,
];

pub(super) const URLS: [&str; 26] = [
    r#""https://example.com/""#,
    r#""https://example.com""#,
    r#""HTTPS://EXAMPLE.com.:443/x?y#z""#,
    r#""https://a.example.com/""#,
    r#""https://a.b.example.com""#,
    r#""https://notexample.com""#,
    r#""https://user@example.com/""#,
    r#""https://example.com:80@evil.org/""#,
    r#""https://example.com\\@evil.org/""#,
    r#""https://exa mple.com/""#,
    r#""https://example%2ecom/""#,
    r#""https://example.com:/""#,
    r#""https://example.com:x/""#,
    r#""https:///x""#,
    r#""https:example.com""#,
    r#""//example.com/""#,
    r#""example.com""#,
    r#""1http://example.com""#,
    r#""https://[::1]/""#,
    r#""https://[::1]:80/""#,
    r#""https://[::1/""#,
    r#""https://127.0.0.1/""#,
    r#""https://.example.com/""#,
    r#""https://example.com..""#,
    r#""https://example.com?x""#,
    r#""https://example.com#x@y""#,
];

pub(super) const HOSTS: [&str; 8] = [
    r#""example.com""#,
    r#""*.example.com""#,
    r#""EXAMPLE.COM.""#,
    r#""evil.org""#,
    r#""[::1]""#,
    r#""127.0.0.1""#,
    r#""*.com""#,
    r#""a.example.com""#,
];

pub(super) const ADDRESSES: [&str; 14] = [
    r#""10.0.0.1""#,
    r#""10.1.0.0""#,
    r#""11.0.0.1""#,
    r#""::ffff:10.0.0.1""#,
    r#""::ffff:a00:1""#,
    r#""::1""#,
    r#""fe80::1%eth0""#,
    r#""2001:db8::1""#,
    r#""2001:DB8:0:0:0:0:0:1""#,
    r#""10.0.0.01""#,
    r#""10.0.1""#,
    r#""10.0.0.1/32""#,
    r#"" 10.0.0.1""#,
    r#""""#,
];

pub(super) const NETWORKS: [&str; 9] = [
    r#""10.0.0.0/8""#,
    r#""10.0.0.1""#,
    r#""0.0.0.0/0""#,
    r#""::/0""#,
    r#""::ffff:10.0.0.0/104""#,
    r#""2001:db8::/32""#,
    r#""::1""#,
    r#""10.0.0.0/15""#,
    r#""2001:db8::1/128""#,
];

pub(super) const REGEXES: [&str; 9] = [
    r#""a""#,
    r#""^a$""#,
    r#""^$""#,
    r#""(?i)^A""#,
    r#""\\d""#,
    r#""^.$""#,
    r#""[^a]""#,
    r#""^(a|b)+$""#,
    r#""\\bget_""#,
];

/// Schemas of arguments.
pub(super) const SCHEMAS: [&str; 9] = [
    r#"{"type":"object"}"#,
    r#"{"required":["a"]}"#,
    r#"{"properties":{"a":{"type":"integer"}}}"#,
    r#"{"properties":{"a":{"type":"number","maximum":9007199254740992}}}"#,
    r#"{"additionalProperties":false,"properties":{"a":{},"b":{"type":"string","pattern":"^a"}}}"#,
    r#"{"properties":{"list":{"type":"array","items":{"type":["integer","object"]},"maxItems":2}}}"#,
    r#"{"properties":{"a":{"enum":[1,"a",null]}}}"#,
    r##"{"$defs":{"n":{"type":"number","multipleOf":0.5}},"properties":{"a":{"$ref":"#/$defs/n"}}}"##,
    "true",
];
