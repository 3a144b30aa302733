//! Targets to connect, send or bind to: addresses, or a name and a port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::address::Family;
use crate::{Error, Result, dns};

/// A target to connect or send to: an address with a port, several of these, or a name with a port.
///
/// Implemented for `SocketAddr` and its variants, for pairs of an address or a name and a port, for text
/// (`"192.0.2.1:80"`, `"[2001:db8::1]:80"`, `"example.org:80"`), and for slices of `SocketAddr`. Names are resolved on
/// the app's own network, with [`dns::resolve`], when they are used.
///
/// The traits of the same name in `std` and tokio resolve names with the operating system, which does not know this
/// network.
pub trait ToSocketAddrs: sealed::Sealed {
    #[doc(hidden)]
    fn to_target(&self, _: sealed::Token) -> Result<Target>;
}

/// A given target: addresses, or a name that has to be resolved.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Addresses(Vec<SocketAddr>),
    Name(String, u16),
}

pub(crate) fn target(given: &impl ToSocketAddrs) -> Result<Target> {
    given.to_target(sealed::Token)
}

impl Target {
    /// The addresses, in the order in which they should be tried. If `family` is given, a name is resolved to addresses
    /// of that family only, since no others can be used. Given addresses are not filtered; those of another family fail
    /// when they are used.
    pub(crate) async fn resolve(self, family: Option<Family>) -> Result<Vec<SocketAddr>> {
        match self {
            Self::Addresses(addresses) if addresses.is_empty() => Err(Error::InvalidArgument),
            Self::Addresses(addresses) => Ok(addresses),
            Self::Name(name, port) => {
                let addresses = dns::resolve_in(&name, family).await?;
                Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
            }
        }
    }

    /// The given addresses, for a local bind. Names are not resolved; a name is an error.
    pub(crate) fn local(self) -> Result<Vec<SocketAddr>> {
        match self {
            Self::Addresses(addresses) if !addresses.is_empty() => Ok(addresses),
            Self::Addresses(_) | Self::Name(..) => Err(Error::InvalidArgument),
        }
    }

    fn host(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = match bare {
            Some(bare) => bare.parse().ok().map(IpAddr::V6),
            None => host.parse().ok(),
        };
        match address {
            Some(address) => Self::Addresses(vec![SocketAddr::new(address, port)]),
            None => Self::Name(host.to_owned(), port),
        }
    }
}

/// Tries to bind the given local addresses in turn. If none can be bound, the last error is returned.
pub(crate) fn first_local<T>(given: &impl ToSocketAddrs, mut bind: impl FnMut(SocketAddr) -> Result<T>) -> Result<T> {
    let mut result = Err(Error::InvalidArgument);
    for address in target(given)?.local()? {
        result = bind(address);
        if result.is_ok() {
            break;
        }
    }
    result
}

mod sealed {
    /// Prevents implementations outside this crate, so that the trait may be extended.
    pub trait Sealed {}

    /// Prevents calls from outside this crate.
    #[derive(Debug)]
    pub struct Token;
}

macro_rules! one_address {
    ($($given:ty),+) => {
        $(
            impl sealed::Sealed for $given {}

            impl ToSocketAddrs for $given {
                fn to_target(&self, _: sealed::Token) -> Result<Target> {
                    Ok(Target::Addresses(vec![SocketAddr::from(*self)]))
                }
            }
        )+
    };
}

one_address! {
    SocketAddr, SocketAddrV4, SocketAddrV6,
    (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16),
    ([u8; 4], u16), ([u8; 16], u16), ([u16; 8], u16)
}

impl sealed::Sealed for str {}

impl ToSocketAddrs for str {
    /// The port is the text after the last colon; an IPv6 address must be in brackets.
    fn to_target(&self, _: sealed::Token) -> Result<Target> {
        let (host, port) = self.rsplit_once(':').ok_or(Error::InvalidArgument)?;
        if !port.bytes().all(|byte| byte.is_ascii_digit()) || host.contains(':') && !host.starts_with('[') {
            return Err(Error::InvalidArgument);
        }
        Ok(Target::host(host, port.parse().map_err(|_| Error::InvalidArgument)?))
    }
}

impl sealed::Sealed for String {}

impl ToSocketAddrs for String {
    fn to_target(&self, token: sealed::Token) -> Result<Target> {
        self.as_str().to_target(token)
    }
}

impl sealed::Sealed for (&str, u16) {}

impl ToSocketAddrs for (&str, u16) {
    fn to_target(&self, _: sealed::Token) -> Result<Target> {
        Ok(Target::host(self.0, self.1))
    }
}

impl sealed::Sealed for (String, u16) {}

impl ToSocketAddrs for (String, u16) {
    fn to_target(&self, _: sealed::Token) -> Result<Target> {
        Ok(Target::host(&self.0, self.1))
    }
}

impl sealed::Sealed for [SocketAddr] {}

impl ToSocketAddrs for [SocketAddr] {
    fn to_target(&self, _: sealed::Token) -> Result<Target> {
        Ok(Target::Addresses(self.to_vec()))
    }
}

impl<const N: usize> sealed::Sealed for [SocketAddr; N] {}

impl<const N: usize> ToSocketAddrs for [SocketAddr; N] {
    fn to_target(&self, token: sealed::Token) -> Result<Target> {
        self.as_slice().to_target(token)
    }
}

impl sealed::Sealed for Vec<SocketAddr> {}

impl ToSocketAddrs for Vec<SocketAddr> {
    fn to_target(&self, token: sealed::Token) -> Result<Target> {
        self.as_slice().to_target(token)
    }
}

impl<T: ToSocketAddrs + ?Sized> sealed::Sealed for &T {}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn to_target(&self, token: sealed::Token) -> Result<Target> {
        (**self).to_target(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_an_address_or_a_name_with_a_port() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:443"] {
            assert_eq!(target(&text), Ok(Target::Addresses(vec![text.parse().unwrap()])), "{text}");
        }
        assert_eq!(target(&"example.org:80"), Ok(Target::Name("example.org".into(), 80)));
        assert_eq!(target(&("example.org", 80)), Ok(Target::Name("example.org".into(), 80)));
        // Text in brackets that is not an IPv6 address is left to the resolver, which rejects it as a name.
        assert_eq!(target(&"[192.0.2.1]:80"), Ok(Target::Name("[192.0.2.1]".into(), 80)));
        for text in ["example.org", "example.org:", "example.org:http", "a:65536", "a:+1", "2001:db8::1:80", ""] {
            let result = target(&text);
            assert_eq!(result, Err(Error::InvalidArgument), "{text}");
        }
    }

    #[test]
    fn a_pair_takes_an_address_in_any_shape() {
        let loopback: SocketAddr = "[::1]:7".parse().unwrap();
        let expected = Ok(Target::Addresses(vec![loopback]));
        assert_eq!(target(&("::1", 7)), expected);
        assert_eq!(target(&("[::1]".to_owned(), 7)), expected);
        assert_eq!(target(&(Ipv6Addr::LOCALHOST, 7)), expected);
        assert_eq!(target(&([0u16, 0, 0, 0, 0, 0, 0, 1], 7)), expected);
        assert_eq!(target(&[loopback]), expected);
        assert_eq!(target(&&[loopback][..]), expected);
    }

    #[test]
    fn a_local_target_must_be_an_address() {
        assert_eq!(first_local(&"localhost:7", Ok), Err(Error::InvalidArgument));
        assert_eq!(first_local(&Vec::new(), Ok), Err(Error::InvalidArgument));
        let both: [SocketAddr; 2] = ["192.0.2.1:7".parse().unwrap(), "127.0.0.1:7".parse().unwrap()];
        let bound = first_local(&both, |a| if a == both[1] { Ok(a) } else { Err(Error::AddressNotAvailable) });
        assert_eq!(bound, Ok(both[1]));
    }
}
