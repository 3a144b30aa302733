//! The names of interfaces.

use xila_network_host::{AlreadyInitialized, InterfaceConfig, InterfaceNotFound, Manager, MountError};

use super::{hub, simulation};

#[test]
fn names_are_1_to_15_of_the_characters_allowed() {
    let (simulation, manager) = simulation();
    let hub = hub(&simulation);
    let mount = |name: &str| manager.mount_interface(name, hub.port(), InterfaceConfig::default());
    for name in ["a", "0", "-", "_", "eth0", "wlan-0_b", "abcdefghijklmno", "0123456789-_abc"] {
        assert_eq!(mount(name).unwrap().name(), name);
    }
    for name in [
        "",
        "Eth0",
        "eth 0",
        "eth.0",
        "eth/0",
        "eth0\n",
        "eth\0",
        "sixteenletters_x",
        "éth",
        "..",
        "a:b",
        "ａ",
        "eth0 ",
    ] {
        assert_eq!(mount(name).unwrap_err(), MountError::InvalidIdentifier(name.into()));
    }
    let names: Vec<String> = manager.interfaces().iter().map(|interface| interface.name().to_owned()).collect();
    assert_eq!(names[..3], ["lo", "a", "0"], "in the order they were mounted");
    assert_eq!(names.len(), 9);
    assert_eq!(manager.network().interfaces(), names);
}

#[test]
fn a_name_is_in_use_while_its_interface_is_mounted() {
    let (simulation, manager) = simulation();
    let hub = hub(&simulation);
    let mount = |name: &str| manager.mount_interface(name, hub.port(), InterfaceConfig::default());
    mount("eth0").unwrap();
    assert_eq!(mount("eth0").unwrap_err(), MountError::DuplicateIdentifier("eth0".into()));
    assert_eq!(mount("lo").unwrap_err(), MountError::DuplicateIdentifier("lo".into()));
    manager.unmount_interface("eth0").unwrap();
    mount("eth0").unwrap();
}

#[test]
fn interfaces_that_are_not_there_are_not_found() {
    let (_simulation, manager) = simulation();
    assert_eq!(manager.interface("eth0").unwrap_err(), InterfaceNotFound);
    assert_eq!(manager.unmount_interface("eth0").map(|_| ()), Err(InterfaceNotFound));
    assert_eq!(manager.network_of(["lo", "eth0"]).unwrap_err(), InterfaceNotFound);
    assert_eq!(manager.network().interface("eth0").unwrap_err(), InterfaceNotFound);
}

#[test]
fn a_manager_has_its_loopback() {
    let (simulation, manager) = simulation();
    let lo = manager.interface("lo").unwrap();
    let addresses: Vec<String> = lo.addresses().iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["127.0.0.1/8", "::1/128"]);
    assert_eq!((lo.driver(), lo.mtu(), lo.hardware_address()), ("loopback", 65535, None));
    assert!(Manager::without_loopback(simulation.platform()).interfaces().is_empty());
}

#[test]
fn the_process_wide_manager_is_made_once() {
    let (simulation, _) = simulation();
    assert!(Manager::instance().is_none());
    let manager = Manager::initialize(simulation.platform()).unwrap();
    let second = Manager::initialize(simulation.platform());
    assert_eq!(second.map(|_| ()), Err(AlreadyInitialized));
    // The instance has the same set of interfaces.
    let instance = Manager::instance().unwrap();
    instance.mount_interface("eth0", hub(&simulation).port(), InterfaceConfig::default()).unwrap();
    assert!(manager.interface("eth0").is_ok());
}
