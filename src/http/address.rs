//! Where a request may go. Addresses that the person wrote down may lie anywhere; one learned
//! from a server must not lead further inside than that server itself is. Judged on the address
//! that is connected to, so no spelling of an address and no DNS answer gets around it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// How far inside an address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// The internet.
    Public,
    /// A private network.
    Private,
    /// This machine.
    Host,
    /// Link-local, multicast, reserved: nothing that a server has a reason to name. Cloud metadata
    /// services live here.
    Special,
}

/// The zones that a request may go to: one, and all further outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach(Zone);

impl Reach {
    /// For addresses that the person wrote down.
    pub const ANYWHERE: Self = Self(Zone::Special);
    /// For addresses learned from a server on the internet.
    pub const PUBLIC: Self = Self(Zone::Public);

    /// For addresses learned from a server in `zone`.
    pub fn from_within(zone: Zone) -> Self {
        Self(zone.min(Zone::Host))
    }

    /// Whether `address` may be connected to.
    pub fn admits(self, address: IpAddr) -> bool {
        zone(address) <= self.0
    }

    /// Whether unencrypted requests to this machine are in reach.
    pub fn admits_host(self) -> bool {
        self.0 >= Zone::Host
    }
}

/// Where `address` lies (RFC 6890).
pub fn zone(address: IpAddr) -> Zone {
    match address {
        IpAddr::V4(address) => zone_v4(address),
        IpAddr::V6(address) => zone_v6(address),
    }
}

/// Whether a URL names this machine by an address or by the name `localhost`. Other names never
/// count: whoever owns one may point it here.
pub fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => zone(address.into()) == Zone::Host,
        Some(Host::Ipv6(address)) => zone(address.into()) == Zone::Host,
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

fn zone_v4(address: Ipv4Addr) -> Zone {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (127, ..) => Zone::Host,
        // 198.18/15 is for benchmarks, and what many local proxies answer for every name.
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) | (198, 18 | 19, _) => {
            Zone::Private
        }
        (0 | 224..=255, ..)
        | (169, 254, _)
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 51, 100)
        | (203, 0, 113) => Zone::Special,
        _ => Zone::Public,
    }
}

fn zone_v6(address: Ipv6Addr) -> Zone {
    if address.is_loopback() {
        return Zone::Host;
    }
    if address.is_unspecified() {
        return Zone::Special;
    }
    let segments = address.segments();
    let embedded =
        |high: u16, low: u16| zone_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match segments {
        // Mapped, compatible, and NAT64 addresses are IPv4 addresses in another dress.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        [0x2002, high, low, ..] => embedded(high, low),
        [0xfc00..=0xfdff, ..] => Zone::Private,
        // Teredo, benchmarks, the first ORCHID, and documentation.
        [0x2001, 0 | 0x10..=0x1f | 0xdb8, ..] | [0x2001, 2, 0, ..] | [0x3fff, 0..=0xfff, ..] => {
            Zone::Special
        }
        [0x2000..=0x3fff, ..] => Zone::Public,
        _ => Zone::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Zone {
        zone(text.parse().expect("an address"))
    }

    #[test]
    fn se_ssrf_zones_of_addresses() {
        for public in [
            "1.1.1.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
        ] {
            assert_eq!(at(public), Zone::Public, "{public}");
        }
        for private in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.7",
            "fd00::1",
            "::ffff:10.0.0.1",
            "2002:a00:1::",
        ] {
            assert_eq!(at(private), Zone::Private, "{private}");
        }
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert_eq!(at(host), Zone::Host, "{host}");
        }
        for special in [
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:169.254.169.254",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "100::1",
            "64:ff9b:1::a00:1",
            "::ffff:0:127.0.0.1",
            "fec0::1",
            "5f00::1",
        ] {
            assert_eq!(at(special), Zone::Special, "{special}");
        }
    }

    #[test]
    fn se_ip_literal_parsing() {
        for here in [
            "http://127.0.0.1/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://2130706433/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost:8080/",
            "http://LOCALHOST./",
            "http://app.localhost/",
        ] {
            assert!(is_this_machine(&here.parse().expect("a URL")), "{here}");
        }
        for elsewhere in [
            "http://localhost.example/",
            "http://10.0.0.1/",
            "http://[fe80::1]/",
        ] {
            assert!(
                !is_this_machine(&elsewhere.parse().expect("a URL")),
                "{elsewhere}"
            );
        }
    }

    #[test]
    fn a_server_names_nothing_further_inside_than_itself() {
        let inside: IpAddr = "10.0.0.1".parse().expect("an address");
        assert!(!Reach::PUBLIC.admits(inside));
        assert!(Reach::from_within(Zone::Private).admits(inside));
        assert!(Reach::from_within(Zone::Host).admits(inside));
        let metadata: IpAddr = "169.254.169.254".parse().expect("an address");
        assert!(!Reach::from_within(Zone::Special).admits(metadata));
        assert!(Reach::ANYWHERE.admits(metadata));
    }
}
