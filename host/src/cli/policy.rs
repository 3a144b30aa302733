//! The options `--allow`, `--deny` and `--policy`, and the command `policy check`.

use std::fs;
use std::path::Path;

use super::app::{AppPlan, app_of};
use crate::policy::{Action, ParseError, Policy};

/// The rules that the command line gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PolicyPlan {
    /// The texts of rules in order. Each line applies to one app or to all. The rules of `--deny` come first, then
    /// those of `--allow`, then those of the file.
    rules: Vec<Text>,
    /// Whether only `--deny` was given. Everything else is then allowed.
    allows_the_rest: bool,
}

/// The text of rules, and its origin: an option or a file.
#[derive(Debug, PartialEq, Eq)]
struct Text {
    origin: String,
    text: String,
}

impl PolicyPlan {
    /// Parses the options. `None` if there are none; apps may then do everything on their interfaces. Error messages
    /// name the option and the wrong word.
    pub(super) fn new(
        allowed: &[String],
        denied: &[String],
        file: Option<&Path>,
        apps: &[AppPlan],
    ) -> Result<Option<Self>, String> {
        if allowed.is_empty() && denied.is_empty() && file.is_none() {
            return Ok(None);
        }
        let option = |action: &'static str| {
            move |rule: &String| Text { origin: format!("--{action}"), text: with_action(action, rule) }
        };
        let mut rules: Vec<Text> =
            denied.iter().map(option("deny")).chain(allowed.iter().map(option("allow"))).collect();
        if let Some(file) = file {
            let origin = format!("--policy {}", file.display());
            let text = fs::read_to_string(file).map_err(|error| format!("{origin}: {error}"))?;
            rules.push(Text { origin, text });
        }
        let plan = Self { rules, allows_the_rest: allowed.is_empty() && file.is_none() };
        plan.check_apps(apps)?;
        // Rules for all apps are parsed even if there is no app, so that errors are found now.
        plan.parse(None)?;
        for app in apps {
            plan.parse(Some(app))?;
        }
        Ok(Some(plan))
    }

    /// The policy of an app.
    pub(super) fn of(&self, app: &AppPlan) -> Result<Policy, String> {
        self.parse(Some(app))
    }

    /// Parses the rules that apply to `app`, or without an app only the rules that apply to all apps.
    fn parse(&self, app: Option<&AppPlan>) -> Result<Policy, String> {
        let mut policy = Policy::deny_all();
        for Text { origin, text } in &self.rules {
            let lines: Vec<String> = text.lines().map(|line| line_for(line, app)).collect();
            let rules = lines.join("\n").parse::<Policy>();
            policy = policy.then(&rules.map_err(|error| at(origin, &error))?);
        }
        Ok(if self.allows_the_rest { policy.then(&Policy::allow_all()) } else { policy })
    }

    fn check_apps(&self, apps: &[AppPlan]) -> Result<(), String> {
        for Text { origin, text } in &self.rules {
            for name in text.lines().filter_map(|line| app_of(line).0) {
                if !apps.iter().any(|app| app.is_named(name)) {
                    return Err(format!("{origin}: {}", AppPlan::unknown(name, apps)));
                }
            }
        }
        Ok(())
    }
}

/// Puts the action before a rule of `--allow` or `--deny`, which is written without one. `@app` stays in front.
fn with_action(action: &str, rule: &str) -> String {
    match app_of(rule) {
        (Some(name), rest) => format!("@{name} {action} {}", rest.trim_start()),
        (None, rule) => format!("{action} {}", rule.trim_start()),
    }
}

fn at(origin: &str, error: &ParseError) -> String {
    format!("{origin}: {error}")
}

/// The part of a line that applies to an app: nothing if the line is for another app. The `@app` is replaced by spaces,
/// so that messages point at the right column.
fn line_for(line: &str, app: Option<&AppPlan>) -> String {
    match app_of(line) {
        (None, line) => line.to_owned(),
        (Some(name), rest) if app.is_some_and(|app| app.is_named(name)) => {
            let cut = line.chars().count() - rest.chars().count();
            " ".repeat(cut) + rest
        }
        (Some(_), _) => String::new(),
    }
}

/// Explains what a policy file decides about an operation, such as `tcp connect example.org:443`. The exit status is 0
/// if it is allowed, and 1 if it is denied.
///
/// # Errors
/// A message that names the file or the operation, and the wrong word.
pub(super) fn check(file: &Path, operation: &str) -> Result<(String, u8), String> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    let (app, asked) = app_of(operation);
    let app = app.map(|app| AppPlan::new(app.into()));
    let lines: Vec<String> = text.lines().map(|line| line_for(line, app.as_ref())).collect();
    let policy: Policy = lines.join("\n").parse().map_err(|error| at(&name.to_string(), &error))?;
    let decision = policy.explain(asked.trim_start()).map_err(|error| at("the operation", &error))?;
    let verdict = match decision.action {
        Action::Allow => "allowed",
        Action::Deny => "denied",
    };
    let because = match decision.rule {
        Some(rule) => format!("by line {} of {name}: {rule}", rule.line()),
        None => format!("because no rule of {name} covers it"),
    };
    Ok((format!("{verdict} {because}"), u8::from(decision.action == Action::Deny)))
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;
    use crate::policy::{Operation, Request};

    fn app(name: &str) -> AppPlan {
        AppPlan::new(name.into())
    }

    fn texts(rules: &[&str]) -> Vec<String> {
        rules.iter().map(|rule| (*rule).to_owned()).collect()
    }

    fn connects(policy: &Policy, remote: &str) -> bool {
        let remote: SocketAddr = remote.parse().expect("an address");
        let request = Request { remote: Some(remote), ..Request::new(Operation::TcpConnect) };
        policy.decide(&request).action == Action::Allow
    }

    #[test]
    fn denials_come_first_and_apps_have_rules_of_their_own() {
        let apps = [app("dir/a.wasm"), app("b.wasm")];
        let allowed = texts(&["tcp connect 10.0.0.0/8", "@b tcp connect 192.0.2.1"]);
        let plan = PolicyPlan::new(&allowed, &texts(&["tcp connect 10.0.0.66"]), None, &apps).expect("rules");
        let [a, b] = apps.each_ref().map(|app| plan.as_ref().expect("rules").of(app).expect("rules"));
        for policy in [&a, &b] {
            assert!(connects(policy, "10.0.0.1:80") && !connects(policy, "10.0.0.66:80"));
        }
        assert!(!connects(&a, "192.0.2.1:80") && connects(&b, "192.0.2.1:80") && !connects(&b, "192.0.2.2:80"));
    }

    #[test]
    fn denials_alone_leave_the_rest_allowed() {
        let apps = [app("a.wasm")];
        assert_eq!(PolicyPlan::new(&[], &[], None, &apps), Ok(None));
        let plan =
            PolicyPlan::new(&[], &texts(&["tcp connect 10.0.0.66"]), None, &apps).expect("rules").expect("rules");
        let policy = plan.of(&apps[0]).expect("rules");
        assert!(connects(&policy, "10.0.0.1:80") && !connects(&policy, "10.0.0.66:80"));
    }

    #[test]
    fn mistakes_name_the_option_and_the_word() {
        let apps = [app("a.wasm")];
        let problem = PolicyPlan::new(&texts(&["tcp conect any"]), &[], None, &apps).expect_err("a mistake");
        assert!(problem.starts_with("--allow: 1:11: \"conect\" is no operation of tcp"), "{problem}");
        let problem = PolicyPlan::new(&texts(&["@c tcp any"]), &[], None, &apps).expect_err("no such app");
        assert!(problem.contains("@c: there is no app of that name; there are a.wasm"), "{problem}");
        let problem = PolicyPlan::new(&[], &[], Some(Path::new("/nonexistent")), &apps).expect_err("no such file");
        assert!(problem.starts_with("--policy /nonexistent: "), "{problem}");
    }

    #[test]
    fn a_decision_is_explained() {
        let file = std::env::temp_dir().join(format!("xila-policy-{}.txt", std::process::id()));
        let text = "# for all\nallow tcp connect *.example.org:443\n@web allow tcp listen :80 from 10.0.0.0/8\n@dns allow udp multicast any\n";
        fs::write(&file, text).expect("a file");
        let ask = |operation: &str| check(&file, operation);
        let (why, status) = ask("tcp connect www.example.org:443").expect("a decision");
        assert!(
            why.starts_with("allowed by line 2 of ") && why.ends_with("allow tcp connect *.example.org:443"),
            "{why}"
        );
        assert_eq!(status, 0);
        assert_eq!(ask("tcp connect example.org:443").expect("a decision").1, 1);
        assert_eq!(ask("dns resolve www.example.org").expect("a decision").1, 0);
        assert_eq!(ask("tcp listen 10.0.0.1:80").expect("a decision").1, 1);
        assert_eq!(ask("@web tcp listen 10.0.0.1:80").expect("a decision").1, 0);
        assert_eq!(ask("@web tcp listen 10.0.0.1:80 from 10.1.1.1").expect("a decision").1, 0);
        assert_eq!(ask("@web tcp listen 10.0.0.1:80 from 11.1.1.1").expect("a decision").1, 1);
        assert_eq!(ask("@dns udp send 224.0.0.251:5353").expect("a decision").1, 0);
        assert_eq!(ask("@dns udp send 10.0.0.251:5353").expect("a decision").1, 1);
        for (operation, problem) in [
            ("tcp conect any", "no operation of tcp"),
            ("tcp any 10.0.0.1", "one operation"),
            ("tcp connect 10.0.0.0/8:80", "one address"),
            ("tcp connect *.example.org:80", "one address"),
            ("", "a protocol is missing"),
        ] {
            let told = ask(operation).expect_err(operation);
            assert!(told.contains(problem), "{told}");
        }
        fs::remove_file(&file).expect("it is there");
    }
}
