//! Names that are resolved without a server, and the names that are queried.

use xila_network_host::address::Family;
use xila_network_host::socket::dns::RecordData;
use xila_network_host::socket::{ResolveError, ResolverOptions};

use super::{A, AAAA, World, Zone, www};

#[test]
fn addresses_as_text_are_answered_without_a_query() {
    let world = World::new(www());
    for (text, address) in [("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("[::1]", "::1"), ("[fd00::9]", "fd00::9")] {
        assert_eq!(world.resolve(text).unwrap(), [address], "{text}");
    }
    let of_family = |text, family| world.link.block_on(world.resolver.resolve(text, Some(family)));
    assert_eq!(of_family("::1", Family::V4), Err(ResolveError::NoRecords));
    assert_eq!(of_family("10.0.0.1", Family::V6), Err(ResolveError::NoRecords));
    assert_eq!(world.asked(), [""; 0]);
}

#[test]
fn localhost_is_answered_without_a_query() {
    let world = World::new(www());
    for name in ["localhost", "LOCALHOST.", "a.b.localhost"] {
        assert_eq!(world.resolve(name).unwrap(), ["::1", "127.0.0.1"], "{name}");
    }
    let records = world.lookup("x.localhost", AAAA).unwrap();
    assert_eq!(
        (records[0].name.as_str(), &records[0].data),
        ("x.localhost.", &RecordData::Address("::1".parse().unwrap()))
    );
    assert_eq!(world.lookup("localhost", 15), Err(ResolveError::NoRecords));
    assert_eq!(world.lookup("x.invalid", A), Err(ResolveError::NameNotFound));
    assert_eq!(world.resolve("abc.onion"), Err(ResolveError::NameNotFound));
    let reversed = world.link.block_on(world.resolver.reverse("127.0.0.1".parse().unwrap()));
    assert_eq!(reversed.unwrap(), ["localhost."]);
    assert_eq!(world.asked(), [""; 0]);
}

#[test]
fn international_names_are_queried_in_their_ascii_form() {
    let world = World::new(Zone::default().host("xn--bcher-kva.example.", "10.0.0.7"));
    assert_eq!(world.resolve("bücher.example").unwrap(), ["10.0.0.7"]);
    assert_eq!(world.resolve("BÜCHER.example.").unwrap(), ["10.0.0.7"]);
}

#[test]
fn invalid_names_are_refused_without_a_query() {
    let world = World::new(www());
    let long_label = format!("{}.example", "a".repeat(64));
    let long = ["abcdefg"; 40].join(".");
    for name in ["", "a..example", ".example", "a b.example", "[::1", &long_label, &long] {
        assert_eq!(world.resolve(name), Err(ResolveError::InvalidName), "{name}");
        assert_eq!(world.lookup(name, A), Err(ResolveError::InvalidName), "{name}");
    }
    assert_eq!(world.asked(), [""; 0]);
}

#[test]
fn a_name_is_searched_in_the_search_domains() {
    let search = vec!["a.example".into(), "b.example.".into(), "no domain".into()];
    let options = ResolverOptions { search, ..ResolverOptions::default() };
    let zone = Zone::default().host("www.b.example.", "10.0.0.7").host("x.y.a.example.", "10.0.0.8");
    let world = World::new(zone).with_options(options);
    assert_eq!(world.resolve_v4("www").unwrap(), ["10.0.0.7".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(world.asked(), ["www.a.example. A", "www.b.example. A"]);
    // A name with a dot inside is first queried as it is.
    assert_eq!(world.resolve_v4("x.y").unwrap(), ["10.0.0.8".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(world.asked(), ["x.y. A", "x.y.a.example. A"]);
    // A name with a dot at the end is only queried as it is.
    assert_eq!(world.resolve_v4("www."), Err(ResolveError::NameNotFound));
    assert_eq!(world.asked(), ["www. A"]);
    assert_eq!(world.resolve_v4("nowhere"), Err(ResolveError::NameNotFound));
    assert_eq!(world.asked(), ["nowhere.a.example. A", "nowhere.b.example. A", "nowhere. A"]);
}

#[test]
fn a_search_ends_if_no_server_answers() {
    let options =
        ResolverOptions { search: vec!["a.example".into(), "b.example".into()], ..ResolverOptions::default() };
    let world = World::with(|_| super::Reply::Silence).with_options(options);
    assert_eq!(world.resolve_v4("www"), Err(ResolveError::ServersUnreachable));
    assert_eq!(world.asked(), ["www.a.example. A"; 2]);
}
