//! An app that may only read: every getter works and every setter is refused, typed and raw.

use xila_network_programs::control::command::encode;
use xila_network_programs::control::{
    Access, CommandId, DeviceFile, Direction, Interface, Route, State, commands, watch,
};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    assert_eq!(Interface::list().unwrap(), ["lo"]);
    let lo = Interface::open("lo").unwrap();
    assert_eq!(lo.name(), "lo");
    lo.kind().unwrap();
    assert_eq!(lo.state(), Ok(State::Up));
    lo.link().unwrap();
    lo.hardware_address().unwrap();
    let mtu = lo.mtu().unwrap();
    lo.maximum_burst_size().unwrap();
    assert_eq!(lo.echo_reply(), Ok(true));
    let addresses = lo.addresses().unwrap();
    assert!(!addresses.is_empty());
    assert_eq!(lo.routes(), Ok(vec![]));
    assert_eq!(lo.dns_servers(), Ok(vec![]));
    lo.dhcp().unwrap();
    assert_eq!(lo.autoconfiguration(), Ok(false));
    lo.statistics().unwrap();
    lo.neighbours().unwrap();
    watch().unwrap();

    let cidr = "192.0.2.1/24".parse().unwrap();
    let bad_cidr = "224.0.0.1/24".parse().unwrap();
    let route = Route::default_via([127, 0, 0, 2].into()).unwrap();
    let server = [192, 0, 2, 53].into();
    let hardware_address = "02:00:00:00:00:01".parse().unwrap();
    for (name, result) in [
        ("set_state", lo.set_state(State::Down)),
        ("set_hardware_address", lo.set_hardware_address(hardware_address)),
        ("set_mtu", lo.set_mtu(1400)),
        ("set_mtu to nothing", lo.set_mtu(0)),
        ("set_echo_reply", lo.set_echo_reply(false)),
        ("add_address", lo.add_address(cidr)),
        ("add_address of a group", lo.add_address(bad_cidr)),
        ("remove_address", lo.remove_address(addresses[0].cidr)),
        ("remove_address that is not there", lo.remove_address(cidr)),
        ("add_route", lo.add_route(route)),
        ("remove_route", lo.remove_route(route)),
        ("add_dns_server", lo.add_dns_server(server)),
        ("remove_dns_server", lo.remove_dns_server(server)),
        ("set_dhcp", lo.set_dhcp(true)),
        ("set_autoconfiguration", lo.set_autoconfiguration(true)),
    ] {
        assert_eq!(result, Err(Error::AccessDenied), "{name}");
    }

    for access in [Access::WRITE, Access::READ_WRITE] {
        assert_eq!(DeviceFile::of_interface("lo", access).unwrap_err(), Error::AccessDenied, "{access:?}");
    }
    let file = DeviceFile::of_interface("lo", Access::READ).unwrap();
    for (id, name) in commands::ALL {
        let result = file.control_raw(id.to_raw(), &[]).await;
        match id.direction() {
            Some(Direction::Get) => assert!(result.is_ok(), "{name}: {result:?}"),
            Some(Direction::Set) => assert_eq!(result, Err(Error::AccessDenied), "{name}"),
            None => panic!("{name} has no direction"),
        }
    }
    assert_eq!(file.control::<commands::SetMtu>(1400).await, Err(Error::AccessDenied));
    let of_a_driver = CommandId::new(Direction::Set, 1, CommandId::FIRST_DRIVER_GROUP, 1);
    assert_eq!(file.control_raw(of_a_driver.to_raw(), &encode(&1u32)).await, Err(Error::AccessDenied));

    assert_eq!((lo.mtu(), lo.addresses(), lo.state()), (Ok(mtu), Ok(addresses), Ok(State::Up)));
}
