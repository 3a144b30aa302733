//! The option `--app "[@INTERFACES] component.wasm args..."`.

use std::path::{Path, PathBuf};

use crate::policy::Limits;

/// An app of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AppPlan {
    /// The interfaces that it may use; `None` for all.
    pub(super) interfaces: Option<Vec<String>>,
    pub(super) component: PathBuf,
    pub(super) arguments: Vec<String>,
    /// What it may hold, and how fast it may send.
    pub(super) limits: Limits,
}

impl AppPlan {
    /// Parses the value of `--app`, after splitting it into words like a shell. Error messages name the option.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let option = |problem: String| format!("--app {text:?}: {problem}");
        let words = shell_words::split(text).map_err(|_| option("a quotation mark is not closed".into()))?;
        Self::from_words(words).map_err(option)
    }

    /// Parses words: the interfaces, if given, the component and its arguments.
    pub(super) fn from_words(words: Vec<String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let mut first = words.next().unwrap_or_default();
        let mut interfaces = None;
        if let Some(names) = first.strip_prefix('@') {
            interfaces = Some(interface_names(names)?);
            first = words.next().unwrap_or_default();
        }
        if first.is_empty() {
            return Err("no component is named; it takes \"[@INTERFACES] component.wasm args...\"".into());
        }
        Ok(Self { interfaces, arguments: words.collect(), ..Self::new(first.into()) })
    }

    /// An app without arguments, with the default limits, which may use all interfaces.
    pub(super) fn new(component: PathBuf) -> Self {
        Self { interfaces: None, component, arguments: Vec::new(), limits: Limits::default() }
    }

    /// The name of the app, in its own arguments and in messages.
    pub(super) fn name(&self) -> String {
        let name = self.component.file_name().map_or(self.component.as_path(), Path::new);
        name.to_string_lossy().into_owned()
    }

    /// Whether `@name` names the app: by the file name of its component, with or without `.wasm`.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let own = self.name();
        own == name || own.strip_suffix(".wasm") == Some(name)
    }

    /// The message for a name that none of the apps has.
    pub(super) fn unknown(name: &str, apps: &[Self]) -> String {
        let known: Vec<String> = apps.iter().map(Self::name).collect();
        format!("@{name}: there is no app of that name; there are {}", known.join(", "))
    }
}

/// The app that the text of an option is for, if it begins with `@app`, and the rest of the text.
pub(super) fn app_of(text: &str) -> (Option<&str>, &str) {
    match text.trim_start().strip_prefix('@') {
        Some(rest) => {
            let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            (Some(name), rest)
        }
        None => (None, text),
    }
}

fn interface_names(text: &str) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',') {
        if name.is_empty() {
            return Err(format!("@{text} is not a list of interfaces such as @eth0 or @eth0,lo"));
        }
        if names.iter().any(|known| known == name) {
            return Err(format!("@{text} names {name} twice"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let plan = AppPlan::parse("dir/app.wasm -o 'a b' \"c\\\"d\" --").expect("app");
        assert_eq!(plan.interfaces, None);
        assert_eq!(plan.component, Path::new("dir/app.wasm"));
        assert_eq!(plan.arguments, ["-o", "a b", "c\"d", "--"]);
        assert_eq!(plan.name(), "app.wasm");
    }

    #[test]
    fn an_app_may_be_kept_to_some_interfaces() {
        let plan = AppPlan::parse("@eth0,lo app.wasm @x").expect("app");
        assert_eq!(plan.interfaces.as_deref(), Some(&["eth0".to_owned(), "lo".to_owned()][..]));
        assert_eq!(plan.component, Path::new("app.wasm"));
        assert_eq!(plan.arguments, ["@x"]);
        assert_eq!(AppPlan::parse("./@app.wasm").expect("a file").component, Path::new("./@app.wasm"));
    }

    #[test]
    fn mistakes_are_reported() {
        for (text, word) in [
            ("", "no component"),
            ("   ", "no component"),
            ("@eth0", "no component"),
            ("@ app.wasm", "not a list of interfaces"),
            ("@a,,b app.wasm", "not a list of interfaces"),
            ("@a,a app.wasm", "names a twice"),
            ("'app.wasm", "not closed"),
        ] {
            let problem = AppPlan::parse(text).expect_err(text);
            assert!(problem.starts_with("--app \"") && problem.contains(word), "{problem}");
        }
    }
}
