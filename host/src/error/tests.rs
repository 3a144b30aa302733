//! Tests of the conversions between errors.

use core::fmt::{Debug, Display};
use std::io::ErrorKind;

use xila_network_engine::udp::queue::PathError;

use super::*;

/// Checks that an error is converted to this cause, and to an I/O error of this kind with the same text.
fn check<E>(error: E, cause: Error, kind: ErrorKind)
where
    E: Clone + Display + Into<Error> + Into<io::Error>,
{
    let words = error.to_string();
    let io: io::Error = error.clone().into();
    let becomes: Error = error.into();
    assert_eq!((becomes, io.kind(), io.to_string()), (cause, kind, words));
}

/// Checks that every cause keeps its name in the error that it is converted to.
fn keeps_names<E: Copy + Debug, F: From<E> + Debug>(all: &[E]) {
    for error in all {
        assert_eq!(format!("{error:?}"), format!("{:?}", F::from(*error)));
    }
}

#[test]
fn each_cause_is_of_the_kind_that_std_has_for_it() {
    for (error, kind) in [
        (Error::InvalidIdentifier("A".into()), ErrorKind::InvalidInput),
        (Error::DuplicateIdentifier("a".into()), ErrorKind::AlreadyExists),
        (Error::NotFound, ErrorKind::NotFound),
        (Error::FailedToMountDevice("no".into()), ErrorKind::Other),
        (Error::ResourceBusy, ErrorKind::ResourceBusy),
        (Error::NoFreeSlot, ErrorKind::StorageFull),
        (Error::LimitReached, ErrorKind::OutOfMemory),
        (Error::AccessDenied, ErrorKind::PermissionDenied),
        (Error::NotSupported, ErrorKind::Unsupported),
        (Error::InvalidArgument, ErrorKind::InvalidInput),
        (Error::InvalidState, ErrorKind::NotConnected),
        (Error::AddressInUse, ErrorKind::AddrInUse),
        (Error::AddressNotAvailable, ErrorKind::AddrNotAvailable),
        (Error::RemoteUnreachable, ErrorKind::HostUnreachable),
        (Error::ConnectionRefused, ErrorKind::ConnectionRefused),
        (Error::ConnectionReset, ErrorKind::ConnectionReset),
        (Error::ConnectionAborted, ErrorKind::ConnectionAborted),
        (Error::BrokenPipe, ErrorKind::BrokenPipe),
        (Error::TimedOut, ErrorKind::TimedOut),
        (Error::NetworkDown, ErrorKind::NetworkDown),
        (Error::PacketTooLarge, ErrorKind::InvalidData),
        (Error::WouldBlock, ErrorKind::WouldBlock),
    ] {
        check(error.clone(), error, kind);
    }
}

#[test]
fn a_cause_of_an_operation_keeps_its_name_kind_and_words() {
    fn check_all<E>(all: &[E])
    where
        E: Copy + Debug + Display + Into<io::Error>,
        Error: From<E>,
    {
        keeps_names::<E, Error>(all);
        all.iter().for_each(|error| check(*error, Error::from(*error), Error::from(*error).kind()));
    }
    check_all(BindError::ALL);
    check_all(ConnectError::ALL);
    check_all(AcceptError::ALL);
    check_all(ReadError::ALL);
    check_all(WriteError::ALL);
    check_all(SendError::ALL);
    check_all(ReceiveError::ALL);
    check_all(PeerError::ALL);
    check_all(MembershipError::ALL);
    check_all(ConfigureError::ALL);
}

#[test]
fn the_only_cause_of_an_operation_keeps_its_name_in_others() {
    check(InvalidOption, Error::InvalidArgument, ErrorKind::InvalidInput);
    check(InvalidPortRange, Error::InvalidArgument, ErrorKind::InvalidInput);
    check(NotConnected, Error::InvalidState, ErrorKind::NotConnected);
    check(InterfaceNotFound, Error::NotFound, ErrorKind::NotFound);
    check(AlreadyInitialized, Error::DuplicateIdentifier("manager".into()), ErrorKind::AlreadyExists);
}

#[test]
fn a_nested_error_is_converted_to_its_own_cause() {
    check(PingError::TimedOut, Error::TimedOut, ErrorKind::TimedOut);
    check(PingError::RemoteUnreachable, Error::RemoteUnreachable, ErrorKind::HostUnreachable);
    check(PingError::PacketTooLarge, Error::PacketTooLarge, ErrorKind::InvalidData);
    check(PingError::Bind(BindError::AddressInUse), Error::AddressInUse, ErrorKind::AddrInUse);
    check(PingError::Send(SendError::AccessDenied), Error::AccessDenied, ErrorKind::PermissionDenied);
    check(PingError::Receive(ReceiveError::NetworkDown), Error::NetworkDown, ErrorKind::NetworkDown);

    let (name, reason) = (String::from("eth0"), String::from("no"));
    check(MountError::InvalidIdentifier(name.clone()), Error::InvalidIdentifier(name.clone()), ErrorKind::InvalidInput);
    let duplicate = Error::DuplicateIdentifier(name.clone());
    check(MountError::DuplicateIdentifier(name), duplicate, ErrorKind::AlreadyExists);
    check(MountError::FailedToMountDevice(reason.clone()), Error::FailedToMountDevice(reason), ErrorKind::Other);
    let unsupported = MountError::Configure(ConfigureError::NotSupported);
    check(unsupported, Error::NotSupported, ErrorKind::Unsupported);
}

#[test]
fn a_step_fails_for_the_same_cause_as_the_operation_that_takes_it() {
    keeps_names::<BindError, ConnectError>(BindError::ALL);
    assert_eq!(BindError::from(InvalidOption), BindError::InvalidArgument);
    assert_eq!(ConnectError::from(InvalidOption), ConnectError::InvalidArgument);
    assert_eq!(SendError::from(NotConnected), SendError::InvalidState);
    assert_eq!(ConfigureError::from(InterfaceNotFound), ConfigureError::NotFound);
    assert_eq!(MembershipError::from(InterfaceNotFound), MembershipError::NotFound);
    for error in SendError::ALL {
        assert_eq!(Error::from(PingError::from(*error)), Error::from(*error));
    }
    assert_eq!(PingError::from(SendError::RemoteUnreachable), PingError::RemoteUnreachable);
    assert_eq!(PingError::from(SendError::PacketTooLarge), PingError::PacketTooLarge);
}

#[test]
fn errors_of_the_path_are_errors_of_sending_and_of_receiving() {
    for (said, sending, receiving) in [
        (PathError::PortUnreachable, SendError::ConnectionRefused, ReceiveError::ConnectionRefused),
        (PathError::Unreachable, SendError::RemoteUnreachable, ReceiveError::RemoteUnreachable),
        (PathError::TooLarge { mtu: 1280 }, SendError::PacketTooLarge, ReceiveError::PacketTooLarge),
    ] {
        assert_eq!((SendError::from(said), ReceiveError::from(said)), (sending, receiving));
    }
}

#[test]
fn an_interface_that_is_down_is_that_to_every_operation() {
    assert_eq!(BindError::from(NetworkDown), BindError::NetworkDown);
    assert_eq!(ConnectError::from(NetworkDown), ConnectError::NetworkDown);
    assert_eq!(AcceptError::from(NetworkDown), AcceptError::NetworkDown);
    assert_eq!(ReadError::from(NetworkDown), ReadError::NetworkDown);
    assert_eq!(WriteError::from(NetworkDown), WriteError::NetworkDown);
    assert_eq!(SendError::from(NetworkDown), SendError::NetworkDown);
    assert_eq!(ReceiveError::from(NetworkDown), ReceiveError::NetworkDown);
    assert_eq!(MembershipError::from(NetworkDown), MembershipError::NetworkDown);
    assert_eq!(ConfigureError::from(NetworkDown), ConfigureError::NetworkDown);
}

#[test]
fn only_an_error_that_would_block_is_waited_for() {
    fn check_all<E: MayBlock + Copy + Debug>(all: &[E]) {
        let waited: Vec<String> =
            all.iter().filter(|error| error.would_block()).map(|error| format!("{error:?}")).collect();
        assert_eq!(waited, ["WouldBlock"]);
    }
    check_all(ReadError::ALL);
    check_all(WriteError::ALL);
    check_all(SendError::ALL);
    check_all(ReceiveError::ALL);
}
