//! Sets the channel of a radio, and tests whether a host answers on it: `tune INTERFACE CHANNEL HOST`.
//!
//! The radio is the driver in `host/examples/driver`, which defines its commands in a file that host and guest share.

#[path = "../../host/examples/driver/commands.rs"]
mod commands;
mod support;

use std::net::IpAddr;

use xila_network::Error;
use xila_network::control::{Access, DeviceFile};

use commands::{GetChannel, SetChannel};
use support::Arguments;

xila_network::main!(run);

async fn run() -> Result<(), String> {
    let mut arguments = Arguments::parse("tune INTERFACE CHANNEL HOST", &[]);
    let (interface, channel, host): (String, u8, IpAddr) =
        (arguments.next("INTERFACE"), arguments.next("CHANNEL"), arguments.next("HOST"));
    arguments.finish();

    let failed = |error: Error| format!("{interface}: {error}");
    let radio = DeviceFile::of_interface(&interface, Access::READ_WRITE).map_err(failed)?;
    let before = radio.control::<GetChannel>(()).await.map_err(failed)?;
    radio.control::<SetChannel>(channel).await.map_err(failed)?;
    println!("{interface} is tuned to channel {channel}, no longer to {before}");

    let reply = xila_network::ping(host).await.map_err(|error| format!("{host} on channel {channel}: {error}"))?;
    println!("{host} answers in {:?}", reply.round_trip_time);
    Ok(())
}
