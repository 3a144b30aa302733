//! Controllers: the part of a driver that answers commands.

use xila_network_commands::command::{decode, encode};
use xila_network_commands::interface::Kind;
use xila_network_commands::{Command, CommandId, InvalidPayload};

use super::{Device, Medium};
use crate::error::{Error, Result};

/// Returns the kind of a device, and answers the commands that only its driver knows.
///
/// It is called without any lock held, from any thread, and at any time. Commands are defined with
/// [`define_command!`](xila_network_commands::define_command), in groups from [`CommandId::FIRST_DRIVER_GROUP`] on.
pub trait Controller: Send + Sync + 'static {
    /// The kind of the device.
    fn kind(&self) -> Kind;

    /// Executes a command: decodes its payload from `input` and appends the encoded result to `output`.
    ///
    /// # Errors
    /// [`Error::NotSupported`] for an unknown command; [`Error::InvalidArgument`] for a payload that cannot be decoded;
    /// the error of the command itself.
    fn control(&self, command: CommandId, input: &[u8], output: &mut Vec<u8>) -> Result<()>;
}

/// Executes a command of a driver with `operation`: decodes its payload, and encodes its result.
///
/// # Errors
/// [`Error::InvalidArgument`] for a payload that cannot be decoded; the error of `operation`.
pub fn execute<C: Command>(
    input: &[u8],
    output: &mut Vec<u8>,
    operation: impl FnOnce(C::Input) -> Result<C::Output>,
) -> Result<()> {
    let answer = operation(decode(input)?)?;
    output.extend(encode(&answer));
    Ok(())
}

/// The controller of a device that has no commands of its own.
#[derive(Clone, Copy, Debug)]
pub struct Plain(Kind);

impl Plain {
    /// The controller of `device`, whose kind follows from its properties.
    pub fn of(device: &(impl Device + ?Sized)) -> Self {
        Self(match device.capabilities().medium {
            _ if device.loops_back() => Kind::Loopback,
            Medium::Ethernet => Kind::Ethernet,
            Medium::Ip => Kind::Ip,
        })
    }
}

impl From<InvalidPayload> for Error {
    fn from(InvalidPayload: InvalidPayload) -> Self {
        Self::InvalidArgument
    }
}

impl Controller for Plain {
    fn kind(&self) -> Kind {
        self.0
    }

    fn control(&self, _: CommandId, _: &[u8], _: &mut Vec<u8>) -> Result<()> {
        Err(Error::NotSupported)
    }
}
