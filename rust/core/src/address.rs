//! Hosts of URLs: hosts of this machine, and hosts that many programs read as IPv4 addresses.

use std::net::{IpAddr, Ipv6Addr};

/// Returns whether the last label of a host, not counting final dots, is a number: decimal, octal, or hexadecimal with
/// `0x`.
///
/// Programs that follow the WHATWG URL standard, and programs that use `inet_aton`, read such a host as an IPv4 address
/// or refuse it: `127.1`, `0x7f.1` and `2130706433` are all `127.0.0.1`. Only four decimal numbers without leading
/// zeros are the same address to every reader.
///
/// ```
/// use callgate_core::address::ends_in_number;
///
/// assert!(ends_in_number("127.1") && ends_in_number("0x7F000001.") && ends_in_number("10.0.0.1"));
/// assert!(!ends_in_number("1.example") && !ends_in_number("0xg") && !ends_in_number(""));
/// ```
pub fn ends_in_number(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let last = host.rsplit_once('.').map_or(host, |(_, last)| last);
    match last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")) {
        // `0x` alone is 0.
        Some(digits) => digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|digit| digit.is_ascii_digit()),
    }
}

/// Returns whether a host of a URL is this machine: `localhost`, an address in 127.0.0.0/8, or `[::1]`.
///
/// The host is in lower case, without a final dot and without a port; an IPv6 address has its brackets.
///
/// ```
/// use callgate_core::address::is_loopback_host;
///
/// assert!(is_loopback_host("localhost") && is_loopback_host("127.9.9.9") && is_loopback_host("[::1]"));
/// assert!(!is_loopback_host("::1") && !is_loopback_host("[::2]") && !is_loopback_host("localhost.example"));
/// ```
pub fn is_loopback_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_ipv4() && address.is_loopback())
}
