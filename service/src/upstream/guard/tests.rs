//! Every special network is refused from its first to its last address, also inside IPv6, and what the operator allows is not.

use super::*;
use proptest::prelude::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// What the registries of special purposes list, and the public address of a metadata service.
const SPECIAL_V4: [&str; 18] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "169.254.169.254/32",
];
const SPECIAL_V6: [&str; 20] = [
    "::/128",
    "::1/128",
    "::/96",
    "::ffff:0:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:1ff::/32",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fd00:ec2::254/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

fn ends(network: &str) -> [IpAddr; 2] {
    [net(network).network(), net(network).broadcast()]
}

fn inside(v4: Ipv4Addr) -> [IpAddr; 2] {
    let bits = u128::from(v4.to_bits());
    let nat64 = (0x0064_ff9b_u128 << 96) | bits;
    [v4.to_ipv6_mapped().into(), Ipv6Addr::from_bits(nat64).into()]
}

#[test]
fn special_networks_are_refused_from_end_to_end() {
    for network in SPECIAL_V4.iter().chain(&SPECIAL_V6) {
        for ip in ends(network) {
            assert!(reach(ip, &[]).is_err(), "{ip} of {network}");
        }
    }
    for network in SPECIAL_V4 {
        for ip in ends(network) {
            let IpAddr::V4(ip) = ip else { unreachable!() };
            for hidden in inside(ip) {
                assert!(reach(hidden, &[]).is_err(), "{hidden} hides {ip}");
            }
        }
    }
}

#[test]
fn what_lies_beside_them_is_public() {
    for ip in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2001:200::",
        "2003::",
        "2606:4700::1111",
        "2a00::1",
        "2000::",
        "3ffe:ffff::",
        "64:ff9b::101:101",
        "::ffff:1.1.1.1",
    ] {
        assert_eq!(reach(ip.parse().unwrap(), &[]), Ok(Reach::Public), "{ip}");
    }
}

#[test]
fn an_allowed_network_is_exactly_what_was_named() {
    let allowed = [net("10.1.0.0/16"), net("::1/128")];
    let is = |ip: &str| reach(ip.parse().unwrap(), &allowed);
    assert_eq!(is("10.1.2.3"), Ok(Reach::Allowed));
    assert_eq!(is("::ffff:10.1.2.3"), Ok(Reach::Allowed), "the same address");
    assert_eq!(is("::1"), Ok(Reach::Allowed));
    for other in ["10.2.0.0", "10.0.255.255", "127.0.0.1", "64:ff9b::a01:203", "2002:a01:203::", "::10.1.2.3"]
    {
        assert!(is(other).is_err(), "{other}");
    }
}

fn settings(allowed: &[&str]) -> UpstreamSettings {
    UpstreamSettings {
        allowed_networks: allowed.iter().map(|network| net(network)).collect(),
        ports: vec![443, 8443],
        ..UpstreamSettings::default()
    }
}

#[test]
fn http_and_other_ports_are_for_allowed_networks() {
    let settings = settings(&["10.1.0.0/16"]);
    let admit = |purpose, ip: &str, port| {
        settings.admit(purpose, ip.parse().unwrap(), port).map_err(|refused| refused.code)
    };
    let (https, http) = (Purpose::Target { tls: true }, Purpose::Target { tls: false });
    assert_eq!(admit(https, "1.1.1.1", 8443), Ok(()));
    assert_eq!(admit(https, "1.1.1.1", 22), Err("port_not_allowed"));
    assert_eq!(admit(http, "1.1.1.1", 443), Err("scheme_not_allowed"));
    assert_eq!(admit(http, "10.1.0.1", 11434), Ok(()));
    assert_eq!(admit(https, "10.1.0.1", 22), Ok(()));
    assert_eq!(admit(Purpose::Proxy, "1.1.1.1", 3128), Ok(()));
    for purpose in [https, http, Purpose::Proxy] {
        assert_eq!(admit(purpose, "10.2.0.1", 443), Err("address_forbidden"));
    }
}

#[test]
fn one_forbidden_address_forbids_the_host() {
    let check = |ips: &[&str]| {
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        let host = Host::Domain("a.example".to_owned());
        settings(&[]).check(Purpose::Target { tls: true }, &host, 443, ips)
    };
    let checked = check(&["1.1.1.1", "::ffff:1.0.0.1"]).unwrap();
    let expected = ["1.1.1.1:443", "1.0.0.1:443"].map(|address| address.parse().unwrap());
    assert_eq!(checked.addresses(), expected);
    for ips in [&["1.1.1.1", "10.0.0.1"], &["127.0.0.1", "1.1.1.1"], &["1.1.1.1", "::1"]] {
        let fault = check(ips).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Forbidden);
        assert!(!ips.iter().any(|ip| fault.message.contains(ip)), "{fault} tells what a name resolved to");
    }
    assert_eq!(check(&[]).unwrap_err().kind, FaultKind::Unresolved);
}

/// The guard said the other way round: what the networks above say, address by address.
fn listed(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => SPECIAL_V4.iter().any(|network| net(network).contains(&IpAddr::V4(ip))),
        IpAddr::V6(ip) => {
            let nat64 = net("64:ff9b::/96").contains(&IpAddr::V6(ip));
            let embedded = Ipv4Addr::from_bits(u32::try_from(ip.to_bits() & 0xffff_ffff).unwrap());
            let global =
                net("2000::/3").contains(&IpAddr::V6(ip)) && !net("2001::/23").contains(&IpAddr::V6(ip));
            let special = SPECIAL_V6.iter().any(|network| net(network).contains(&IpAddr::V6(ip)));
            if nat64 { listed(embedded.into()) } else { special || !global }
        }
    }
}

/// Addresses that are close to where the guard decides.
fn interesting() -> impl Strategy<Value = IpAddr> {
    let networks = SPECIAL_V4.iter().chain(&SPECIAL_V6).map(|network| net(network)).collect::<Vec<_>>();
    let near =
        (prop::sample::select(networks), any::<u128>(), -2i128..=2).prop_map(|(network, bits, off)| {
            let host =
                |length: u8, width: u8| u128::MAX.checked_shr((128 - width + length).into()).unwrap_or(0);
            match network.network() {
                IpAddr::V4(ip) => {
                    let ip = u128::from(ip.to_bits()) | (bits & host(network.prefix_len(), 32));
                    let ip = u32::try_from(ip & 0xffff_ffff).unwrap();
                    IpAddr::V4(Ipv4Addr::from_bits(ip.wrapping_add_signed(i32::try_from(off).unwrap())))
                }
                IpAddr::V6(ip) => {
                    let ip = ip.to_bits() | (bits & host(network.prefix_len(), 128));
                    IpAddr::V6(Ipv6Addr::from_bits(ip.wrapping_add_signed(off)))
                }
            }
        });
    prop_oneof![
        near,
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
        any::<u32>().prop_map(|bits| inside(Ipv4Addr::from_bits(bits))[0]),
        any::<u32>().prop_map(|bits| inside(Ipv4Addr::from_bits(bits))[1]),
    ]
}

proptest! {
    #[test]
    fn the_guard_and_the_list_agree(ip in interesting()) {
        prop_assert_eq!(reach(ip, &[]).is_err(), listed(ip), "{}", ip);
    }

    #[test]
    fn what_the_operator_allows_is_allowed_and_opens_nothing_else(ip in interesting(), other in interesting()) {
        let ip = ip.to_canonical();
        let allowed = [IpNet::from(ip)];
        prop_assert_eq!(reach(ip, &allowed), Ok(Reach::Allowed));
        if other.to_canonical() != ip {
            prop_assert_eq!(reach(other, &allowed), reach(other, &[]));
        }
    }
}
