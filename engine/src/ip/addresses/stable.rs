//! Stable opaque interface identifiers (RFC 7217): they stay the same within one network, and cannot be linked between
//! networks.

use core::hash::{BuildHasher, Hasher};
use core::net::Ipv6Addr;

use crate::random::Secret;

/// An interface identifier: the lower 64 bits of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StableIdentifier {
    /// The identifier as a big-endian number.
    pub bits: u64,
    /// The counter that it was computed with: the requested one, or a later one if the requested one gave a reserved
    /// identifier. If the address turns out to be a duplicate, try again with this counter plus one (RFC 7217 section
    /// 6).
    pub counter: u32,
}

impl StableIdentifier {
    /// The address with this identifier in the /64 network of `prefix`.
    #[must_use]
    pub const fn address_in(self, prefix: Ipv6Addr) -> Ipv6Addr {
        Ipv6Addr::from_bits((prefix.to_bits() >> 64 << 64) | self.bits as u128)
    }
}

/// The interface identifier for the /64 network of `prefix` (RFC 7217 section 5).
///
/// `interface` identifies the interface, for example by name or hardware address (Net_Iface). `network` identifies the
/// network, such as the name of a wireless network, and is empty if unknown (Network_ID). `counter` is the number of
/// identifiers that were duplicates there (DAD_Counter). The `secret` is made of a key that is stored across restarts
/// and used for nothing else.
///
/// The function is SipHash-2-4, a pseudorandom function with a 128-bit key and a 64-bit output, as the RFC requires:
/// outputs reveal neither the key nor the identifiers of other inputs. Collisions are easier to find than with a longer
/// hash, but that does not matter, because an identifier has only 64 bits. The inputs are hashed as bytes in a fixed
/// order, so that the identifier is the same on every machine.
#[must_use]
pub fn stable_identifier(
    prefix: Ipv6Addr,
    secret: &Secret,
    interface: &[u8],
    network: &[u8],
    counter: u32,
) -> StableIdentifier {
    let mut counter = counter;
    loop {
        let mut hasher = secret.build_hasher();
        hasher.write(&(prefix.to_bits() >> 64 << 64).to_be_bytes());
        for part in [interface, network] {
            // The length goes before each part, so that different pairs of parts never give the same bytes.
            hasher.write(&(part.len() as u64).to_be_bytes());
            hasher.write(part);
        }
        hasher.write(&counter.to_be_bytes());
        let bits = hasher.finish();
        if !is_reserved(bits) {
            return StableIdentifier { bits, counter };
        }
        counter = counter.wrapping_add(1);
    }
}

/// Whether an identifier is reserved (RFC 5453 and IANA's registry): the subnet-router anycast address, the identifiers
/// made of IANA's Ethernet block, and the reserved subnet anycast addresses (RFC 2526).
pub(crate) const fn is_reserved(bits: u64) -> bool {
    matches!(bits, 0 | 0x0200_5eff_fe00_0000..=0x0200_5eff_feff_ffff | 0xfdff_ffff_ffff_ff80..=0xfdff_ffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, 0);

    fn secret(key: u8) -> Secret {
        Secret::new(&mut Random::new([key; 32]))
    }

    #[test]
    fn an_identifier_depends_on_every_input_and_on_nothing_else() {
        let identifier = stable_identifier(PREFIX, &secret(1), b"eth0", b"home", 0);
        assert_eq!(stable_identifier(PREFIX, &secret(1), b"eth0", b"home", 0), identifier);
        let host_part = Ipv6Addr::from_bits(PREFIX.to_bits() | 9);
        assert_eq!(stable_identifier(host_part, &secret(1), b"eth0", b"home", 0), identifier, "64 bits are the prefix");
        let other = Ipv6Addr::new(0x2001, 0xdb8, 1, 3, 0, 0, 0, 0);
        for different in [
            stable_identifier(other, &secret(1), b"eth0", b"home", 0),
            stable_identifier(PREFIX, &secret(2), b"eth0", b"home", 0),
            stable_identifier(PREFIX, &secret(1), b"eth1", b"home", 0),
            stable_identifier(PREFIX, &secret(1), b"eth0h", b"ome", 0),
            stable_identifier(PREFIX, &secret(1), b"eth0", b"", 0),
            stable_identifier(PREFIX, &secret(1), b"eth0", b"home", 1),
        ] {
            assert_ne!(different.bits, identifier.bits);
        }
    }

    #[test]
    fn an_identifier_is_the_same_on_every_machine_and_in_every_version() {
        let identifier = stable_identifier(PREFIX, &secret(7), b"eth0", b"", 0);
        // Computed by another implementation of SipHash-2-4 over the same bytes.
        assert_eq!(identifier, StableIdentifier { bits: 0xf5ea_3a8f_9e74_2443, counter: 0 });
        assert_eq!(identifier.address_in(PREFIX).segments()[..4], PREFIX.segments()[..4]);
        assert_eq!(identifier.address_in(PREFIX).to_bits() as u64, identifier.bits);
    }

    #[test]
    fn reserved_identifiers_are_recognized() {
        for bits in [0, 0x0200_5eff_fe00_0000, 0x0200_5eff_fe00_5213, 0x0200_5eff_feff_ffff, 0xfdff_ffff_ffff_ff80] {
            assert!(is_reserved(bits), "{bits:x}");
        }
        for bits in [1, 0x0200_5eff_fdff_ffff, 0x0200_5eff_ff00_0000, 0xfdff_ffff_ffff_ff7f, 0xfe00_0000_0000_0000] {
            assert!(!is_reserved(bits), "{bits:x}");
        }
    }
}
