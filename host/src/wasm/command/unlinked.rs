//! What a component imports from packages that no host of this crate has, and what its user can do about it.

use wasmtime::component::Component;

/// The packages of which a program may import interfaces.
const PACKAGES: [&str; 7] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets", "xila:network"];

/// What to do about imports of a package that is not there.
const REMEDIES: [(&str, &str); 2] = [
    ("wasi:http", "HTTP works over wasi:sockets and xila:network: build it with an HTTP library of its language"),
    (
        "wasi:tls",
        "TLS works inside the program, over wasi:sockets and xila:network: build it with a library such as rustls",
    ),
];

/// A message that names the imports which have no counterpart here, and the remedy; `None` if there are no such
/// imports.
pub(super) fn message(component: &Component) -> Option<String> {
    explain(component.component_type().imports(component.engine()).map(|(name, _)| name))
}

fn explain<'a>(imports: impl Iterator<Item = &'a str>) -> Option<String> {
    // The package of `wasi:http/types@0.2.0` is `wasi:http`. An import without a package is a name of its own.
    let package = |import: &str| import.split_once('/').map_or(import, |(package, _)| package).to_owned();
    let unlinked: Vec<&str> = imports.filter(|import| !PACKAGES.contains(&&*package(import))).collect();
    let first = unlinked.first()?;
    let remedy = REMEDIES
        .iter()
        .find(|(of, _)| *of == package(first))
        .map_or("run it on a host that has them, or build it without them", |(_, remedy)| remedy);
    Some(format!("it imports {}, which this host does not have; {remedy}", unlinked.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_the_imports_and_the_remedy() {
        let told = |imports: &[&str]| explain(imports.iter().copied());
        assert_eq!(told(&["wasi:cli/environment@0.2.3", "wasi:sockets/tcp@0.2.0", "xila:network/tcp@0.1.0"]), None);
        let http = ["wasi:io/streams@0.2.3", "wasi:http/types@0.2.3", "wasi:http/outgoing-handler@0.2.3"];
        assert_eq!(
            told(&http).as_deref(),
            Some(
                "it imports wasi:http/types@0.2.3 and wasi:http/outgoing-handler@0.2.3, which this host does not have; \
                 HTTP works over wasi:sockets and xila:network: build it with an HTTP library of its language"
            )
        );
        for (imports, part) in [(["wasi:tls/types@0.2.0-draft"], "rustls"), (["log"], "build it without them")] {
            assert!(told(&imports).is_some_and(|told| told.contains(imports[0]) && told.contains(part)), "{imports:?}");
        }
    }
}
