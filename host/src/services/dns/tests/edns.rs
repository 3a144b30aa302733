//! Queries that are extended (RFC 6891), rightly or wrongly.

use super::*;

/// A query with an additional OPT record that has these options.
fn extended(options: &[u8]) -> Vec<u8> {
    let mut message = bytes(&query("server.internal.", RecordType::A));
    message[11] = 1;
    add_opt(&mut message, options);
    message
}

fn add_opt(message: &mut Vec<u8>, options: &[u8]) {
    message.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0]);
    message.extend(u16::try_from(options.len()).expect("few").to_be_bytes());
    message.extend(options);
}

#[test]
fn options_that_nobody_knows_are_ignored_whatever_they_contain() {
    // A client subnet of no family (RFC 7871), one of a family that there is not, one cut short, and an unknown option.
    let options: [&[u8]; 5] =
        [&[], &[0, 8, 0, 4, 0, 0, 0, 0], &[0, 8, 0, 5, 0, 3, 8, 0, 1], &[0, 8, 0, 9, 0], &[0xff, 0xfe, 0, 3, 1, 2, 3]];
    for options in options {
        let answer = respond(&extended(options), Transport::Udp).expect("an answer");
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{options:?}");
        assert_eq!(data(&answer), ["10.0.0.7"]);
        let edns = answer.edns.expect("an extended answer");
        assert!(edns.flags().dnssec_ok && edns.version() == 0);
    }
}

#[test]
fn additional_records_that_are_broken_inside_are_passed_over() {
    let mut message = bytes(&query("server.internal.", RecordType::A));
    message[11] = 2;
    // An address of three bytes, whose name is that of the question.
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 3, 1, 2, 3]);
    add_opt(&mut message, &[]);
    let answer = respond(&message, Transport::Udp).expect("an answer");
    assert_eq!((data(&answer), answer.edns.is_some()), (vec!["10.0.0.7".to_owned()], true));
}

#[test]
fn a_wrong_extension_is_told_with_the_question_and_an_extension() {
    let mut twice = extended(&[]);
    twice[11] = 2;
    add_opt(&mut twice, &[]);
    let mut too_long = extended(&[]);
    let at = too_long.len() - 1;
    too_long[at] = 9;
    let mut named = bytes(&query("server.internal.", RecordType::A));
    named[11] = 1;
    named.extend([1, b'x']);
    add_opt(&mut named, &[]);
    let mut misplaced = extended(&[]);
    misplaced.swap(7, 11);
    for message in [twice, too_long, named, misplaced] {
        let answer = respond(&message, Transport::Udp).expect("an answer");
        assert_eq!((answer.metadata.id, answer.metadata.response_code), (0x1234, ResponseCode::FormErr));
        assert_eq!((answer.queries.len(), answer.edns.is_some(), answer.answers.len()), (1, true, 0));
    }
    // Without an extension there is none in the answer.
    let mut missing = bytes(&query("server.internal.", RecordType::A));
    missing[11] = 1;
    let answer = respond(&missing, Transport::Udp).expect("an answer");
    assert_eq!((answer.metadata.response_code, answer.edns.is_some()), (ResponseCode::FormErr, false));
}

#[test]
fn another_version_is_refused_by_its_own_code() {
    let mut message = extended(&[]);
    let at = message.len() - 5;
    message[at] = 1;
    let answer = respond(&message, Transport::Udp).expect("an answer");
    // BADSIG has the same number.
    assert_eq!(u16::from(answer.metadata.response_code), u16::from(ResponseCode::BADVERS));
}
