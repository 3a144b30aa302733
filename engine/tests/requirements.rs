//! The requirements of RFC 9293 for a TCP implementation, and the tests that assert that this engine meets them.
//!
//! The table has a row for each requirement of RFC 9293 appendix B, and for those of RFC 1122 section 4.2.5 that have
//! moved to other RFCs since. A row names tests: scripts by their path under `tests/scripts`, others as `file::test`,
//! with the file's path in the workspace. A requirement that is not met, or only in part, has a reason. `cargo test
//! --test requirements -- --nocapture` prints the table.
//!
//! Requirements that no other test asserts are tested here.

#[path = "requirements/mod.rs"]
mod requirements;

use requirements::{Row, find};

/// How many requirements of each kind RFC 9293 has. They are numbered from 1 on.
const NUMBERS: [(&str, usize); 4] = [("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1)];

#[test]
fn every_requirement_names_a_test_that_exists() {
    let rows: Vec<&Row> = requirements::rows().collect();
    let mut wrong = Vec::new();
    for (kind, count) in NUMBERS {
        let missing = (1..=count).map(|number| format!("{kind}-{number}"));
        wrong.extend(
            missing
                .filter(|id| !rows.iter().any(|row| row.id == id.as_str()))
                .map(|id| format!("{id} is not in the table")),
        );
    }
    for (index, row) in rows.iter().enumerate() {
        if rows[..index].iter().any(|other| other.id == row.id) {
            wrong.push(format!("{} is there twice", row.id));
        }
        if !is_known(row.id) {
            wrong.push(format!("{} is no number of the RFC", row.id));
        }
        wrong.extend(row.evidence.complaints().into_iter().map(|complaint| format!("{}: {complaint}", row.id)));
        for test in row.evidence.tests() {
            wrong.extend(find(test).err().map(|reason| format!("{}: {test}: {reason}", row.id)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a row's identifier is a requirement of RFC 9293 or a section of RFC 1122.
fn is_known(id: &str) -> bool {
    let of_9293 = id.rsplit_once('-').is_some_and(|(kind, number)| {
        NUMBERS
            .iter()
            .any(|(known, count)| *known == kind && number.parse().is_ok_and(|number| (1..=*count).contains(&number)))
    });
    of_9293 || id.starts_with("1122:4.2.")
}

#[test]
fn the_table_is_printed() {
    requirements::rows().for_each(|row| println!("{row}"));
    let count = |state: &str| requirements::rows().filter(|row| row.state() == state).count();
    let states = ["asserted", "in part", "left out", "NOT MET"].map(|state| format!("{} {state}", count(state)));
    println!("{}", states.join(", "));
}
