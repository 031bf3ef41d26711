//! The page that documents every key.

use crate::keys::{Kind, SECTIONS, keys};
use std::fmt::Write;

/// `docs/configuration.md`, whole.
pub fn document() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         This page is generated from the table that the program reads by: \
         `ringpost documentation`.\n\n\
         The file is TOML, by default `/etc/ringpost/ringpost.toml`. Unknown keys are errors.\n\
         Durations are `\"500ms\"`, `\"30s\"`, `\"5m\"`, `\"4h\"`, `\"5d\"`; sizes `\"64KiB\"`, \
         `\"35MiB\"`, `\"2GiB\"`; rates `\"600/1m\"`. `\"off\"` switches off what can be off.\n\n",
    );
    page.push_str("## At the top of the file\n\n");
    table(&mut page, "");
    for section in SECTIONS {
        let brackets = if section.repeated { ("[[", "]]") } else { ("[", "]") };
        let _ = write!(page, "\n## {}{}{}\n\n", brackets.0, section.name, brackets.1);
        let _ = write!(page, "{}\n\n", section.meaning);
        table(&mut page, section.name);
    }
    page
}

fn table(page: &mut String, section: &str) {
    page.push_str("| key | default | value | meaning | example |\n|---|---|---|---|---|\n");
    for key in keys().filter(|key| key.section == section) {
        let value = match key.kind {
            Kind::Choice(words) => format!("`\"{}\"`", words.join("\"`, `\"")),
            other => other.what(),
        };
        let _ = writeln!(
            page,
            "| `{}` | `{}` | {value} | {} | `{}` |",
            key.name, key.default, key.meaning, key.example
        );
    }
}
