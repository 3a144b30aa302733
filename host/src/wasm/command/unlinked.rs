//! What a component imports from packages that no host of this crate has, and what its user can do about it.

use wasmtime::component::Component;

/// The packages that a host has or has not, by its choice.
const OPTIONAL: [&str; 2] = ["wasi:http", "wasi:tls"];

/// The packages of which a program may import interfaces.
const PACKAGES: [&str; 7] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets", "xila:network"];

/// What to do about imports of a package that is not there.
const REMEDIES: [(&str, &str); 2] = [
    (
        "wasi:http",
        "wasi:http 0.2 and 0.3 are only in hosts that link them and run in real time; HTTP also works over \
         wasi:sockets and xila:network: build it with an HTTP library of its language",
    ),
    (
        "wasi:tls",
        "wasi:tls is only in hosts that link it and run in real time; TLS also works inside the program, over \
         wasi:sockets and xila:network: build it with a library such as rustls",
    ),
];

/// A message that names the imports which have no counterpart here, and the remedy; `None` if there are no such
/// imports. `problem` is wasmtime's message, which names the first import that the linker does not have.
pub(super) fn message(component: &Component, problem: &str) -> Option<String> {
    explain(component.component_type().imports(component.engine()).map(|(name, _)| name), problem)
}

fn explain<'a>(imports: impl Iterator<Item = &'a str>, problem: &str) -> Option<String> {
    let is_there = |package: &str| {
        PACKAGES.contains(&package) || OPTIONAL.contains(&package) && !problem.contains(&format!("{package}/"))
    };
    // The package of `wasi:http/types@0.2.0` is `wasi:http`. An import without a package is a name of its own.
    let package = |import: &str| import.split_once('/').map_or(import, |(package, _)| package).to_owned();
    let unlinked: Vec<&str> = imports.filter(|import| !is_there(&package(import))).collect();
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

    const HTTP: [&str; 3] = ["wasi:io/streams@0.2.3", "wasi:http/types@0.2.3", "wasi:http/outgoing-handler@0.2.3"];

    fn told(imports: &[&str], problem: &str) -> Option<String> {
        explain(imports.iter().copied(), problem)
    }

    #[test]
    fn the_message_names_the_imports_and_the_remedy() {
        let there = ["wasi:cli/environment@0.2.3", "wasi:sockets/tcp@0.2.0", "xila:network/tcp@0.1.0"];
        assert_eq!(told(&there, ""), None);
        let message = told(&HTTP, "component imports instance `wasi:http/types@0.2.3`").expect("a message");
        let begins =
            "it imports wasi:http/types@0.2.3 and wasi:http/outgoing-handler@0.2.3, which this host does not have";
        assert!(message.starts_with(begins) && message.ends_with("an HTTP library of its language"), "{message}");
        for (imports, part) in [(["wasi:tls/types@0.2.0-draft"], "rustls"), (["log"], "build it without them")] {
            let message = told(&imports, "component imports instance `wasi:tls/types@0.2.0-draft`");
            assert!(message.is_some_and(|told| told.contains(imports[0]) && told.contains(part)), "{imports:?}");
        }
    }

    #[test]
    fn what_this_host_has_is_not_said_to_be_missing() {
        assert_eq!(told(&HTTP, "component imports instance `log`"), None);
        let message = told(&[HTTP[1], "log"], "component imports instance `log`").expect("a message");
        assert!(message.starts_with("it imports log, which") && !message.contains("wasi:http"), "{message}");
    }
}
