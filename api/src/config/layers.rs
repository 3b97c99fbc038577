//! Where settings come from. The first layer that has a setting wins; what no layer may contain is a fault.

use super::{Faults, SETTINGS, Setting, links, parse};
use clap::{Arg, ArgMatches, Command, value_parser};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use toml::de::DeValue;

const PREFIX: &str = "TOLLKEEPER_";
/// Variables with our prefix that are not ours: the test suite's.
const FOREIGN: &str = "TOLLKEEPER_TEST_";

/// The settings on the command line.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    file: Option<PathBuf>,
    given: Vec<(&'static str, String)>,
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config").long("config").value_name("FILE").help("A TOML file of settings");
        let flags = SETTINGS.iter().filter(|setting| takes_flag(setting)).map(|setting| {
            let flag = Arg::new(setting.name).long(setting.name).value_name("VALUE").help(setting.about);
            flag.global(true).help_heading("Settings (also TOLLKEEPER_… in the environment)")
        });
        command.arg(file.value_parser(value_parser!(PathBuf)).global(true)).args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().filter(|setting| takes_flag(setting)).filter_map(|setting| {
            matches.get_one::<String>(setting.name).map(|value| (setting.name, value.clone()))
        });
        Ok(Self { file: matches.get_one("config").cloned(), given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A database URL can carry a password, and mostly carries none.
fn takes_flag(setting: &Setting) -> bool {
    !setting.secret || setting.name == "database-url"
}

/// A value and where it came from, as people know it.
struct Value {
    text: String,
    origin: String,
    layer: &'static str,
}

/// The layers on top of each other.
#[derive(Default)]
pub(super) struct Layers {
    values: BTreeMap<&'static str, Value>,
    faults: Vec<String>,
}

impl Layers {
    pub(super) fn gather(flags: &Flags, environment: Vec<(String, Option<String>)>) -> Self {
        let mut layers = Self::default();
        for (name, text) in &flags.given {
            layers.put("flags", format!("--{name}"), name, text.clone());
        }
        let mut environment = environment;
        environment.sort();
        for (variable, text) in environment {
            layers.variable(&variable, text);
        }
        if let Some(file) = &flags.file {
            layers.file(file);
        }
        layers
    }

    fn variable(&mut self, variable: &str, text: Option<String>) {
        let foreign = variable.starts_with(FOREIGN) || links::is_service_link(variable, text.as_deref());
        let Some(name) = variable.strip_prefix(PREFIX).filter(|_| !foreign) else { return };
        match text {
            // Compose files and the like pass on what is not set as empty.
            Some(text) if text.is_empty() => {}
            Some(text) => {
                let name = name.to_lowercase().replace('_', "-");
                if !may_be_a_name(&name, '-') {
                    let fault = "a variable beginning with TOLLKEEPER_ is no setting (environment)";
                    return self.faults.push(fault.into());
                }
                self.put("environment", format!("{variable} (environment)"), &name, text);
            }
            None => self.faults.push(format!("{variable} (environment): not UTF-8")),
        }
    }

    fn file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.faults.push(format!("--config: {}", parse::unreadable(&error))),
        };
        let path = path.display();
        let table = match toml::de::DeTable::parse(&text) {
            Ok(table) => table.into_inner(),
            // The parser's own report quotes the line, which may hold a secret.
            Err(error) => {
                let place = place(&text, error.span().map_or(0, |at| at.start));
                let fault = "this is not TOML; a line is name = \"text\", with the text in quotes";
                return self.faults.push(format!("{path}, {place}: {fault}"));
            }
        };
        for (key, value) in table {
            let place = place(&text, key.span().start);
            let key = key.into_inner();
            if !may_be_a_name(&key, '_') {
                self.faults.push(format!("{path}, {place}: no such setting"));
                continue;
            }
            let origin = format!("{key} ({path}, {place})");
            match scalar(value.into_inner()) {
                Some(text) => self.put("file", origin, &key.replace('_', "-"), text),
                None => {
                    self.faults.push(format!("{origin}: expected a string, a number or a list of strings"));
                }
            }
        }
    }

    /// The format of the log in a file, as far as the file can be read.
    pub(super) fn log_format(text: &str) -> Option<String> {
        let (table, _) = toml::de::DeTable::parse_recoverable(text);
        Some(table.get_ref().get("log_format")?.get_ref().as_str()?.to_owned())
    }

    fn put(&mut self, layer: &'static str, origin: String, name: &str, text: String) {
        let by_name = |name: &str| SETTINGS.iter().find(|setting| setting.name == name);
        let pointed = || name.strip_suffix("-file").and_then(by_name).filter(|setting| setting.secret);
        let Some((setting, pointed)) = by_name(name)
            .map(|setting| (setting, false))
            .or_else(|| pointed().map(|setting| (setting, true)))
        else {
            return self.faults.push(format!("{origin}: no such setting{}", suggestion(layer, name)));
        };
        if let Some(above) = self.values.get(setting.name) {
            if above.layer == layer {
                self.faults.push(format!("{origin}: given twice, also as {}", above.origin));
            }
            return;
        }
        let text = if pointed { parse::contents(&text) } else { Ok(text) };
        match text {
            Ok(text) => {
                self.values.insert(setting.name, Value { text, origin, layer });
            }
            Err(fault) => self.faults.push(format!("{origin}: {fault}")),
        }
    }

    /// Whether any layer has it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Notes that a setting is needed and absent.
    pub(super) fn missing(&mut self, name: &str, why: &str) {
        self.faults.push(format!("{}: {why}", variable(name)));
    }

    /// A setting as what it means; none if it is absent, or at fault, which is noted.
    pub(super) fn take<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.values.remove(name)?;
        parse(&value.text).map_err(|fault| self.faults.push(format!("{}: {fault}", value.origin))).ok()
    }

    /// Whether everything was right.
    pub(super) fn finish(self) -> Result<(), Faults> {
        if self.faults.is_empty() { Ok(()) } else { Err(Faults(self.faults)) }
    }
}

fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('-', "_").to_uppercase())
}

/// Where something stands in a file.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}

/// Whether a name that nobody knows may be repeated: a mistyped name looks like one, and a secret in its place does not.
fn may_be_a_name(name: &str, separator: char) -> bool {
    name.len() <= 40 && name.chars().all(|c| c.is_ascii_lowercase() || c == separator)
}

fn scalar(value: DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.into_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

/// The known name that is nearest to a mistyped one.
fn suggestion(layer: &str, name: &str) -> String {
    let files = SETTINGS.iter().filter(|setting| setting.secret).map(|s| format!("{}-file", s.name));
    let known = SETTINGS.iter().map(|setting| setting.name.to_owned()).chain(files);
    let nearest = known.map(|known| (distance(name, &known), known)).min();
    match nearest {
        Some((steps, known)) if steps <= known.len() / 3 => {
            let spelled = if layer == "file" { known.replace('-', "_") } else { variable(&known) };
            format!("; did you mean {spelled}?")
        }
        _ => String::new(),
    }
}

/// How many characters to insert, remove or replace to get from one word to another (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replace = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
