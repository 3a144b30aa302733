//! Which options an answer has, and in which order.

use super::*;

/// A configuration with a value for each option.
fn full() -> Config {
    Config {
        routers: vec![host(30)],
        dns_servers: vec![host(50)],
        domain: Some("corp.example".into()),
        search: vec!["lab.example".into()],
        mtu: Some(1400),
        ..config(10..=20)
    }
}

/// The codes of the options of an answer, in their order, without those of the protocol itself and of the lease.
fn configured(answer: &Answer) -> Vec<u8> {
    let mut rest = &answer.payload[HEADER + COOKIE.len()..];
    let mut codes = Vec::new();
    while let [code, length, behind @ ..] = rest
        && *code != 255
    {
        codes.push(*code);
        rest = &behind[usize::from(*length)..];
    }
    codes.retain(|code| ![51, 53, 54, 58, 59, 61].contains(code));
    codes
}

#[test]
fn options_come_in_the_order_in_which_the_client_asks_for_them() {
    let mut server = Server::new(&full()).expect("a configuration");
    let all = Message::new(1, mac(1)).to(&mut server, 0).expect("an offer");
    assert_eq!(configured(&all), [1, 28, 3, 6, 15, 119, 26], "it does not say which ones it wants");
    let cases: [(&[u8], &[u8]); 7] = [
        (&[1, 3, 6], &[1, 3, 6]),
        (&[26, 6, 1, 28], &[26, 6, 1, 28]),
        // The mask is sent without being asked for, and always before the routers.
        (&[119, 3], &[1, 119, 3]),
        (&[15, 3, 6, 1, 26], &[15, 1, 3, 6, 26]),
        // An option that is not there, and one that is asked for again and again.
        (&[6, 99, 6, 1, 26, 6, 1], &[6, 1, 26]),
        (&[1, 1], &[1]),
        (&[99], &[1]),
    ];
    for (wanted, sent) in cases {
        let answer = Message::new(1, mac(1)).with(55, wanted).to(&mut server, 0).expect("an offer");
        assert_eq!(configured(&answer), sent, "{wanted:?}");
    }
    let mut server = Server::new(&Config { routers: Vec::new(), ..full() }).expect("a configuration");
    let answer = Message::new(1, mac(1)).with(55, [3, 6, 1]).to(&mut server, 0).expect("an offer");
    assert_eq!(configured(&answer), [6, 1], "there are no routers that the mask has to come before");
}

#[test]
fn the_mask_has_room_whatever_comes_before_it() {
    let mut server = Server::new(&full()).expect("a configuration");
    // Such an identifier leaves 23 bytes. Without the mask, the domain would fit.
    let short = Message::new(1, mac(1)).with(61, [7; 255]).with(55, [28, 15, 1]);
    let answer = short.to(&mut server, 0).expect("an offer");
    assert!(answer.payload.len() <= 548, "{}", answer.payload.len());
    assert_eq!(configured(&answer), [28, 1]);
}

#[test]
fn a_list_of_options_in_several_parts_is_one_list() {
    let mut server = Server::new(&full()).expect("a configuration");
    let split = Message::new(1, mac(1)).with(55, [6, 15]).with(57, [5, 192]).with(55, [3, 26]);
    let answer = split.to(&mut server, 0).expect("an offer");
    assert_eq!(configured(&answer), [1, 6, 15, 3, 26]);
    let split = Message::new(1, mac(1)).with(55, [6]).with(55, [1]);
    assert_eq!(configured(&split.to(&mut server, 0).expect("an offer")), [6, 1]);
}
