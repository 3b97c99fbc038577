//! The corpus: what is known to get past readers of URLs, and what good people write.

use super::*;

fn settings(allowed: &[&str]) -> UpstreamSettings {
    let allowed_networks = allowed.iter().map(|network| network.parse().unwrap()).collect();
    UpstreamSettings { allowed_networks, ..UpstreamSettings::default() }
}

/// Loopback, metadata and private addresses in every disguise.
const FORBIDDEN: [&str; 36] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "0",
    "0.0.0.0",
    "0177.0.0.1",
    "0x7f.1",
    "0x7f000001",
    "0X7F000001",
    "017700000001",
    "2130706433",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "10.0.0.1",
    "012.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.100.100.200",
    "255.255.255.255",
    "%31%32%37.0.0.1",
    "%31%36%39.254.169.254",
    "１２７.０.０.１",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[fd00::1]",
    "[fe80::1]",
];

#[test]
fn forbidden_literals_are_refused_however_they_are_written() {
    let closed = settings(&[]);
    for host in FORBIDDEN {
        for port in ["", ":443"] {
            let text = format!("https://{host}{port}/v1");
            assert_eq!(closed.check_url(&text).unwrap_err().code, "address_forbidden", "{text}");
        }
        assert_eq!(closed.check_proxy(host, 3128).unwrap_err().code, "address_forbidden", "{host}");
    }
    for host in ["::1", "::ffff:169.254.169.254", "fd00::1"] {
        assert_eq!(closed.check_proxy(host, 3128).unwrap_err().code, "address_forbidden", "{host}");
    }
}

#[test]
fn tricks_are_refused_for_what_they_are() {
    let closed = settings(&[]);
    let long = format!("https://a.example/{}", "a".repeat(2048));
    for (text, code) in [
        ("https://api.openai.com@127.0.0.1/", "userinfo_not_allowed"),
        ("https://api.openai.com:443@a.example/", "userinfo_not_allowed"),
        ("https://:secret@a.example/", "userinfo_not_allowed"),
        ("https://api.openai.com%2f@127.0.0.1/", "userinfo_not_allowed"),
        ("https://api.openai.com\\@127.0.0.1/", "invalid_character"),
        ("https:\\\\127.0.0.1/", "invalid_character"),
        ("https://127.0.\t0.1/", "invalid_character"),
        ("https://a.exa\nmple/", "invalid_character"),
        ("https://a.example/\r\nhost: b", "invalid_character"),
        (" https://a.example", "invalid_character"),
        ("https://a.example/\u{a0}", "invalid_character"),
        ("http://a.example/", "scheme_not_allowed"),
        ("ftp://a.example/", "scheme_not_allowed"),
        ("file:///etc/passwd", "scheme_not_allowed"),
        ("gopher://127.0.0.1:6379/_x", "scheme_not_allowed"),
        ("unix:/run/docker.sock", "scheme_not_allowed"),
        ("data:text/plain,x", "scheme_not_allowed"),
        ("a.example/v1", "invalid_url"),
        ("", "invalid_url"),
        ("https://", "invalid_url"),
        ("https://[::1", "invalid_url"),
        ("https://[fe80::1%25eth0]/", "invalid_url"),
        ("https://1.2.3.4.5/", "invalid_url"),
        ("https://256.1.1.1/", "invalid_url"),
        ("https://a.example%00.b/", "invalid_url"),
        ("https://a.example:99999/", "invalid_url"),
        ("https://./", "invalid_host"),
        ("https://*.example/", "invalid_host"),
        ("https://a.example:22/", "port_not_allowed"),
        ("https://a.example:0/", "port_not_allowed"),
        ("https://1.1.1.1:22/", "port_not_allowed"),
        ("https://a.example/?key=1", "query_not_allowed"),
        ("https://a.example/#x", "query_not_allowed"),
        (&long, "too_long"),
    ] {
        assert_eq!(closed.check_url(text).map_err(|refused| refused.code), Err(code), "{text:?}");
    }
}

#[test]
fn good_urls_are_taken_and_names_are_not_looked_up() {
    let closed = settings(&[]);
    for (text, read) in [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com:443", "https://api.openai.com/"),
        ("HTTPS://API.OpenAI.com/v1/", "https://api.openai.com/v1/"),
        ("https://1.1.1.1/", "https://1.1.1.1/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
        ("https://not-yet-there.example/", "https://not-yet-there.example/"),
        ("https://localhost./", "https://localhost./"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://127.0.0.1.nip.example/", "https://127.0.0.1.nip.example/"),
    ] {
        assert_eq!(closed.check_url(text).unwrap().as_str(), read);
    }
}

#[test]
fn http_and_ports_are_taken_where_they_could_be_allowed() {
    let open = settings(&["10.1.0.0/16"]);
    for good in
        ["http://10.1.2.3:11434", "http://ollama:11434/", "https://ollama:8443/", "https://10.1.2.3:22/"]
    {
        assert!(open.check_url(good).is_ok(), "{good}");
    }
    for (bad, code) in [
        ("http://10.2.0.1:11434/", "address_forbidden"),
        ("http://1.1.1.1/", "scheme_not_allowed"),
        ("https://1.1.1.1:22/", "port_not_allowed"),
        ("http://127.0.0.1/", "address_forbidden"),
    ] {
        assert_eq!(open.check_url(bad).unwrap_err().code, code, "{bad}");
    }
}

#[test]
fn proxies_are_hosts_on_any_port() {
    let closed = settings(&[]);
    for (host, read) in [
        ("proxy.example", "proxy.example"),
        ("PROXY.example", "proxy.example"),
        ("1.1.1.1", "1.1.1.1"),
        ("2606:4700::1111", "[2606:4700::1111]"),
        ("[2606:4700::1111]", "[2606:4700::1111]"),
    ] {
        let saved = closed.check_proxy(host, 1080).unwrap();
        assert_eq!(saved, read);
        assert_eq!(closed.check_proxy(&saved, 1080).unwrap(), read, "what was saved can be saved again");
    }
    for (host, port, code) in [
        ("", 1080, "invalid_host"),
        (".", 1080, "invalid_host"),
        ("a.example:3128", 1080, "invalid_host"),
        ("user@a.example", 1080, "invalid_host"),
        ("http://a.example", 1080, "invalid_host"),
        ("a.example/x", 1080, "invalid_host"),
        ("*.example", 1080, "invalid_host"),
        ("a example", 1080, "invalid_character"),
        ("a.example\r\nx: y", 1080, "invalid_character"),
        ("a.example", 0, "port_not_allowed"),
    ] {
        assert_eq!(closed.check_proxy(host, port).unwrap_err().code, code, "{host:?}");
    }
    assert_eq!(closed.check_proxy(&"a".repeat(254), 1).unwrap_err().code, "too_long");
}

fn bypassed(entry: &str, url: &str) -> bool {
    check_no_proxy(entry).unwrap();
    let url = Url::parse(url).unwrap();
    let port = url.port_or_known_default().unwrap();
    bypasses(&[entry.to_owned()], &url.host().unwrap().to_owned(), port)
}

#[test]
fn hosts_without_a_proxy_are_known() {
    for (entry, fit, other) in [
        ("a.example", "https://A.example./", "https://b.a.example/"),
        ("A.EXAMPLE", "https://a.example/", "https://aa.example/"),
        ("a.example:8443", "https://a.example:8443/", "https://a.example/"),
        (".a.example", "https://b.A.example/", "https://a.example/"),
        ("*.a.example", "https://c.b.a.example/", "https://ba.example/"),
        ("*.a.example:443", "https://b.a.example/", "https://b.a.example:8443/"),
        ("10.1.0.0/16", "https://10.1.255.255/", "https://10.2.0.0/"),
        ("10.1.0.1", "https://10.1.1/", "https://10.1.0.2/"),
        ("10.1.0.1:8443", "https://10.1.0.1:8443/", "https://10.1.0.1/"),
        ("fd00::/8", "https://[fd12::1]/", "https://[fe80::1]/"),
        ("::1", "https://[::1]/", "https://127.0.0.1/"),
        ("[::1]:8443", "https://[::1]:8443/", "https://[::1]/"),
        ("10.0.0.0/8", "https://[::ffff:10.0.0.1]/", "https://ten.example/"),
    ] {
        assert!(bypassed(entry, fit), "{entry} is for {fit}");
        assert!(!bypassed(entry, other), "{entry} is not for {other}");
    }
    assert!(bypassed("*", "https://a.example/") && bypassed("*", "https://[::1]/"));
    for bad in [
        "",
        "*example",
        "a.*.example",
        ".",
        "*.",
        "10.0.0.0/33",
        "a.example:x",
        "https://a.example",
        "a b",
        ".10.0.0.1",
    ] {
        assert!(check_no_proxy(bad).is_err(), "{bad:?}");
    }
}
