//! Addresses that no host of the network can have.

use super::*;

/// The addresses that neither a client nor a relay of the server's network can have.
const IMPOSSIBLE: [Ipv4Addr; 8] = [
    Ipv4Addr::new(10, 9, 0, 0),
    Ipv4Addr::new(10, 9, 0, 255),
    SERVER,
    Ipv4Addr::new(0, 0, 0, 1),
    Ipv4Addr::LOCALHOST,
    Ipv4Addr::new(224, 0, 0, 1),
    Ipv4Addr::new(240, 0, 0, 1),
    Ipv4Addr::BROADCAST,
];

#[test]
fn messages_with_addresses_that_no_client_or_relay_can_have_are_counted_and_not_answered() {
    let mut server = server(10..=20);
    let inform = |address| Message { ciaddr: address, ..Message::new(8, mac(1)) };
    let relayed = |relay| Message { giaddr: relay, ..Message::new(1, mac(1)) };
    for address in IMPOSSIBLE {
        for message in [inform(address), Message::renewing(mac(1), address), relayed(address)] {
            assert_eq!(message.to(&mut server, 0), None, "{address}");
        }
    }
    let malformed = 3 * IMPOSSIBLE.len() as u64;
    assert_eq!(server.statistics(), Statistics { malformed, ..Statistics::default() });
    for address in [host(2), host(254)] {
        let answer = inform(address).to(&mut server, 0).expect("an answer");
        assert_eq!(answer.destination, SocketAddrV4::new(address, 68));
        let answer = relayed(address).to(&mut server, 0).expect("an answer");
        assert_eq!(answer.destination, SocketAddrV4::new(address, 67));
    }
    // The hosts of other networks are not served, but their messages are well-formed.
    let elsewhere = Ipv4Addr::new(192, 0, 2, 7);
    assert_eq!(inform(elsewhere).to(&mut server, 0), None);
    assert_eq!(relayed(elsewhere).to(&mut server, 0), None);
    assert_eq!(server.statistics().malformed, malformed);
}

#[test]
fn an_offer_goes_to_no_address_that_no_client_can_have() {
    let mut server = server(10..=20);
    for address in IMPOSSIBLE {
        let discover = Message { ciaddr: address, ..Message::new(1, mac(1)) };
        let answer = discover.to(&mut server, 0).expect("an offer");
        assert_eq!(answer.destination, SocketAddrV4::new(host(10), 68), "{address}");
    }
}

#[test]
fn a_network_with_addresses_that_no_host_can_have_is_refused() {
    let cidr = |text: &str| text.parse::<Cidr>().expect("a network");
    for bad in [
        "0.0.0.1/8",
        "0.0.0.1/1",
        "0.1.2.3/24",
        "126.0.0.1/7",
        "127.0.0.1/8",
        "127.1.2.3/24",
        "128.0.0.1/1",
        "192.0.0.1/2",
        "224.0.0.1/4",
        "239.1.2.3/24",
        "240.0.0.1/8",
        "255.255.255.1/24",
        "255.255.255.254/31",
    ] {
        assert_eq!(Config::new(cidr(bad)), Err(InvalidConfig::Address), "{bad}");
        let config = Config { address: cidr(bad), ..config(10..=20) };
        assert_eq!(Server::new(&config).expect_err("a mistake"), InvalidConfig::Address, "{bad}");
    }
    for good in ["1.0.0.1/8", "126.0.0.1/8", "128.0.0.1/2", "192.0.0.1/3", "223.255.255.1/24"] {
        let config = Config::new(cidr(good)).expect(good);
        Server::new(&config).expect(good);
    }
}
