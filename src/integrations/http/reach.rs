//! How far a request may go whose address somebody else wrote: to public addresses, and not into our own networks.
//!
//! A name is resolved once, every address that it has is looked at, and the connection goes to one of those that were: what
//! the name means a moment later makes no difference. No proxy of the environment is used, which would resolve it again.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

/// Not public: this network, private, shared by a provider's customers, loopback, link-local with the metadata of clouds,
/// assigned to protocols and documentation, benchmarks, multicast, reserved; and the host of Azure's machines.
const CLOSED_V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Public IPv6 is all that begins with 2 or 3, without these: protocols with Teredo, documentation, 6to4, documentation again.
const OPEN_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const CLOSED_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Where networks without IPv4 put it: the last 32 bits are what counts.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// To public addresses; and to this machine itself, where that is allowed.
#[derive(Clone)]
pub struct Reach {
    names: Arc<dyn Resolve>,
    loopback: bool,
}

/// An address that is not to be called. Which one it is stays inside.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("it leads to an address that is not public")]
pub struct Closed;

/// Names as this machine resolves them.
struct System;

impl Reach {
    /// To public addresses; with `loopback`, which is for tests and development, to this machine too.
    pub fn new(loopback: bool) -> Self {
        Self { names: Arc::new(System), loopback }
    }

    /// The same, with names resolved by somebody else.
    #[must_use]
    pub fn resolving_by(self, names: Arc<dyn Resolve>) -> Self {
        Self { names, ..self }
    }

    /// Whether this machine itself may be called.
    pub fn has_loopback(&self) -> bool {
        self.loopback
    }

    /// Looks at an address that is written out, which no resolver ever sees.
    pub(super) fn look_at(&self, url: &Url) -> Result<(), Closed> {
        let is_open = match url.host() {
            Some(Host::Ipv4(address)) => self.is_open(address.into()),
            Some(Host::Ipv6(address)) => self.is_open(address.into()),
            Some(Host::Domain(_)) => true,
            None => false,
        };
        if is_open { Ok(()) } else { Err(Closed) }
    }

    fn is_open(&self, address: IpAddr) -> bool {
        // IPv4 in IPv6's clothes reaches IPv4.
        let address = address.to_canonical();
        match address {
            _ if address.is_loopback() => self.loopback,
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) if is_within_v6(address, NAT64) => {
                let [.., a, b, c, d] = address.octets();
                is_public_v4(Ipv4Addr::new(a, b, c, d))
            }
            IpAddr::V6(address) => {
                is_within_v6(address, OPEN_V6) && !CLOSED_V6.iter().any(|closed| is_within_v6(address, *closed))
            }
        }
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = reach.names.resolve(name).await?.collect();
            // One that is closed makes the name suspect as a whole.
            if !addresses.iter().all(|address| reach.is_open(address.ip())) {
                return Err(Closed.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is the client's to say.
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").field("loopback", &self.loopback).finish_non_exhaustive()
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_within = |(network, bits): (Ipv4Addr, u32)| (address.to_bits() ^ network.to_bits()) >> (32 - bits) == 0;
    !CLOSED_V4.into_iter().any(is_within)
}

fn is_within_v6(address: Ipv6Addr, (network, bits): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()) >> (128 - bits) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_open(address: &str, loopback: bool) -> bool {
        Reach::new(loopback).look_at(&Url::parse(&format!("https://{address}/")).unwrap()).is_ok()
    }

    #[test]
    fn only_public_addresses_are_open_in_whatever_form() {
        for closed in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.2.3",
            "240.0.0.1",
            "255.255.255.255",
            // The same in forms that other programs read.
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.16689662",
            "10.1",
            "0x0a.1.2.3",
            // IPv6: unspecified, compatible, mapped, NAT64, 6to4, Teredo, unique local, link-local, site-local, multicast, documentation.
            "[::]",
            "[::10.0.0.1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b:1::1]",
            "[2002:a9fe:a9fe::1]",
            "[2001::1]",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[100::1]",
            "[5f00::1]",
        ] {
            assert!(!is_open(closed, false) && !is_open(closed, true), "{closed}");
        }
        for open in [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "168.63.129.17",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "223.255.255.255",
            "[2606:4700::1111]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::808:808]",
            "[2a00:1450::1]",
        ] {
            assert!(is_open(open, false), "{open}");
        }
    }

    #[test]
    fn this_machine_is_open_only_where_that_is_allowed() {
        for here in ["127.0.0.1", "127.9.9.9", "2130706433", "127.1", "[::1]", "[::ffff:127.0.0.1]"] {
            assert!(!is_open(here, false) && is_open(here, true), "{here}");
        }
    }
}
