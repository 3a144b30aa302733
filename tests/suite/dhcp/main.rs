//! What sets an interface by protocol: DHCP (RFC 2131), IPv6 autoconfiguration (RFC 4861, RFC 4862), and DHCPv6 without state
//! (RFC 8415). The servers and the router are the test's own, under virtual time.

mod conflict;
mod information;
mod late;
mod lease;
mod limits;
mod memory;
mod nonsense;
mod router;
mod server;
mod told;
mod world;

use world::World;
