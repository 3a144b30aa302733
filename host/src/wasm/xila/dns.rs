//! `xila:network/dns`.

use wasmtime::component::Accessor;

use crate::error::{Error, Result};
use crate::policy::Charge;
use crate::socket::Resolver;
use crate::socket::dns::{self as socket, Record, Reply};
use crate::wasm::bindings::dns::{
    Host, HostWithStore, RecordData, RecordType, ResolveError, ResourceRecord, ServerReply,
};
use crate::wasm::bindings::types::{IpAddress, IpAddressFamily};
use crate::wasm::{HasNetwork, NetworkCtxView};

/// The result of a query for the guest.
type Answer<T> = wasmtime::Result<Result<T, ResolveError>>;

/// The guest's resolver, and the charge of a query to the guest's quota, which is held until the answer is there or the
/// guest gives up.
fn query<T: Send + 'static>(accessor: &Accessor<T, HasNetwork>) -> Result<(Resolver, Charge)> {
    accessor.with(|mut access| {
        let view = access.get();
        Ok((view.ctx.resolver()?, view.ctx.quota().charge_query()?))
    })
}

impl Host for NetworkCtxView<'_> {}

impl<T: Send + 'static> HostWithStore<T> for HasNetwork {
    async fn resolve(
        accessor: &Accessor<T, Self>,
        name: String,
        family: Option<IpAddressFamily>,
    ) -> Answer<Vec<IpAddress>> {
        Ok(async {
            let (resolver, _charge) = query(accessor)?;
            let addresses = resolver.resolve(&name, family.map(Into::into)).await?;
            Ok(addresses.into_iter().map(Into::into).collect())
        }
        .await)
    }

    async fn lookup(
        accessor: &Accessor<T, Self>,
        name: String,
        record_type: RecordType,
    ) -> Answer<Vec<ResourceRecord>> {
        Ok(async {
            let (resolver, _charge) = query(accessor)?;
            let records = resolver.lookup(&name, record_type).await?;
            Ok(records.into_iter().map(Into::into).collect())
        }
        .await)
    }

    async fn reverse(accessor: &Accessor<T, Self>, address: IpAddress) -> Answer<Vec<String>> {
        Ok(async {
            let (resolver, _charge) = query(accessor)?;
            Ok(resolver.reverse(address.into()).await?)
        }
        .await)
    }

    async fn ask(
        accessor: &Accessor<T, Self>,
        server: Option<IpAddress>,
        name: String,
        record_type: RecordType,
    ) -> Answer<ServerReply> {
        Ok(async {
            let (resolver, _charge) = query(accessor)?;
            Ok(resolver.ask(server.map(Into::into), &name, record_type).await?.into())
        }
        .await)
    }
}

impl From<Error> for ResolveError {
    fn from(error: Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<socket::ResolveError> for ResolveError {
    fn from(error: socket::ResolveError) -> Self {
        match error {
            socket::ResolveError::InvalidName => Self::InvalidName,
            socket::ResolveError::NameNotFound => Self::NameNotFound,
            socket::ResolveError::NoRecords => Self::NoRecords,
            socket::ResolveError::ServersUnreachable => Self::ServersUnreachable,
            socket::ResolveError::ServerFailure => Self::ServerFailure,
            socket::ResolveError::InvalidAddress => Error::InvalidArgument.into(),
            socket::ResolveError::AccessDenied => Error::AccessDenied.into(),
        }
    }
}

impl From<Reply> for ServerReply {
    fn from(reply: Reply) -> Self {
        let Reply { server, code, is_authoritative, by_tcp, records } = reply;
        Self {
            server: server.map(Into::into),
            code,
            authoritative: is_authoritative,
            by_tcp,
            records: records.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Record> for ResourceRecord {
    fn from(record: Record) -> Self {
        let Record { name, record_type, ttl, data } = record;
        Self { name, type_: record_type, ttl, data: data.into() }
    }
}

impl From<socket::RecordData> for RecordData {
    fn from(data: socket::RecordData) -> Self {
        match data {
            socket::RecordData::Address(address) => Self::Address(address.into()),
            socket::RecordData::Name(name) => Self::Name(name),
            socket::RecordData::Mx { preference, exchange } => Self::Mx((preference, exchange)),
            socket::RecordData::Txt(strings) => Self::Txt(strings),
            socket::RecordData::Srv { priority, weight, port, target } => Self::Srv((priority, weight, port, target)),
            socket::RecordData::Soa { primary, mailbox, serial, refresh, retry, expire, minimum } => {
                Self::Soa((primary, mailbox, serial, refresh, retry, expire, minimum))
            }
            socket::RecordData::Other(data) => Self::Other(data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::bindings::types::ErrorCode;

    fn told(data: socket::RecordData) -> RecordData {
        let record = Record { name: "example.test.".into(), record_type: 7, ttl: 60, data };
        let ResourceRecord { name, type_, ttl, data } = record.into();
        assert_eq!((name.as_str(), type_, ttl), ("example.test.", 7, 60));
        data
    }

    #[test]
    fn records_keep_the_order_of_their_parts_on_the_wire() {
        let address = [192, 0, 2, 1].into();
        let RecordData::Address(told_address) = told(socket::RecordData::Address(address)) else { panic!("A") };
        assert_eq!(core::net::IpAddr::from(told_address), address);
        let RecordData::Name(name) = told(socket::RecordData::Name("a.test.".into())) else { panic!("CNAME") };
        assert_eq!(name, "a.test.");
        let mx = socket::RecordData::Mx { preference: 10, exchange: "mail.test.".into() };
        let RecordData::Mx(mx) = told(mx) else { panic!("MX") };
        assert_eq!(mx, (10, "mail.test.".into()));
        let strings = vec![b"one".to_vec(), Vec::new(), vec![0xff, 0]];
        let RecordData::Txt(told_strings) = told(socket::RecordData::Txt(strings.clone())) else { panic!("TXT") };
        assert_eq!(told_strings, strings);
        let srv = socket::RecordData::Srv { priority: 1, weight: 2, port: 3, target: "host.test.".into() };
        let RecordData::Srv(srv) = told(srv) else { panic!("SRV") };
        assert_eq!(srv, (1, 2, 3, "host.test.".into()));
        let soa = socket::RecordData::Soa {
            primary: "ns.test.".into(),
            mailbox: "root.test.".into(),
            serial: 1,
            refresh: 2,
            retry: 3,
            expire: 4,
            minimum: 5,
        };
        let RecordData::Soa(soa) = told(soa) else { panic!("SOA") };
        assert_eq!(soa, ("ns.test.".into(), "root.test.".into(), 1, 2, 3, 4, 5));
        let RecordData::Other(data) = told(socket::RecordData::Other(vec![1, 2])) else { panic!("another") };
        assert_eq!(data, [1, 2]);
    }

    #[test]
    fn a_reply_has_its_server_and_its_transport() {
        let address = core::net::IpAddr::from([192, 0, 2, 53]);
        let reply =
            Reply { server: Some(address), code: 5, is_authoritative: true, by_tcp: false, records: Vec::new() };
        let ServerReply { server, code, authoritative, by_tcp, records } = reply.into();
        assert_eq!(server.map(core::net::IpAddr::from), Some(address));
        assert_eq!((code, authoritative, by_tcp, records.len()), (5, true, false, 0));
    }

    #[test]
    fn each_cause_has_its_own_error() {
        use socket::ResolveError as Cause;
        assert!(matches!(Cause::InvalidName.into(), ResolveError::InvalidName));
        assert!(matches!(Cause::NameNotFound.into(), ResolveError::NameNotFound));
        assert!(matches!(Cause::NoRecords.into(), ResolveError::NoRecords));
        assert!(matches!(Cause::ServersUnreachable.into(), ResolveError::ServersUnreachable));
        assert!(matches!(Cause::ServerFailure.into(), ResolveError::ServerFailure));
        assert!(matches!(Cause::InvalidAddress.into(), ResolveError::Other(ErrorCode::InvalidArgument)));
        assert!(matches!(Error::NotFound.into(), ResolveError::Other(ErrorCode::NotFound)));
        assert!(matches!(Error::LimitReached.into(), ResolveError::Other(ErrorCode::LimitReached)));
    }
}
