use std::sync::Arc;

use xila_network_host::commands::Command as _;
use xila_network_host::commands::commands::GetKind;
use xila_network_host::commands::interface::{Kind, Statistics};
use xila_network_host::device::Device as _;

use super::*;
use crate::commands::{GetChannel, SetChannel};
use crate::support::guest;

async fn tune(manager: &Manager, channel: &str) -> (i32, String) {
    let arguments = [&guest("tune").display().to_string(), "here", channel, "10.0.0.2"].map(|word| word.to_owned());
    let (status, output) = run(manager, &arguments).await.unwrap();
    (status.code(), output)
}

fn statistics(manager: &Manager, interface: &str) -> Statistics {
    manager.interface(interface).unwrap().statistics()
}

#[tokio::test]
async fn an_app_is_heard_once_it_has_tuned_its_radio() {
    let manager = radios().unwrap();
    let (status, output) = tune(&manager, "5").await;
    assert_eq!(status, 1, "{output}");
    assert!(output.contains("10.0.0.2 on channel 5: timed out"), "{output}");
    assert_eq!(statistics(&manager, "there").received.packets, 0);
    let (status, output) = tune(&manager, "6").await;
    assert_eq!(status, 0, "{output}");
    assert!(output.starts_with("here is tuned to channel 6, no longer to 5\n10.0.0.2 answers in "), "{output}");
}

#[tokio::test]
async fn a_channel_that_does_not_exist_is_refused() {
    let (status, output) = tune(&radios().unwrap(), "14").await;
    assert_eq!((status, &*output), (1, "error: here: invalid argument\n"));
}

#[tokio::test]
async fn a_command_of_the_driver_needs_the_right_for_its_direction() {
    let manager = radios().unwrap();
    let node = manager.devices().open("/devices/network/here", Access::READ).unwrap();
    let mut output = Vec::new();
    node.control(GetChannel::ID.to_raw(), &[], &mut output).unwrap();
    assert_eq!(output, encode(&1_u8));
    let refused = node.control(SetChannel::ID.to_raw(), &encode(&2_u8), &mut output);
    assert!(matches!(refused, Err(xila_network_host::Error::AccessDenied)), "{refused:?}");
    output.clear();
    node.control(GetKind::ID.to_raw(), &[], &mut output).unwrap();
    assert_eq!(output, encode(&Kind::Ip));
}

#[test]
fn a_radio_that_nobody_reads_loses_further_frames() {
    let [mut one, mut other] = Radio::pair();
    let now = platform::Instant::ORIGIN;
    for _ in 0..100 {
        let frame = one.allocate(now, 40).unwrap();
        one.transmit(now, frame).unwrap();
    }
    let mut received = 0;
    while other.receive(now).unwrap().is_some() {
        received += 1;
    }
    assert_eq!(received, 64);
    assert!(Arc::strong_count(&one.controller()) > 1, "the controller is asked while the device is in use");
}
