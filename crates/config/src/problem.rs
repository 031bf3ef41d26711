//! What is wrong with a configuration, shown with its place.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;

/// One file of the configuration, kept to show lines of it.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// Its path, as it was named.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file; `None` when it could not be read at all.
    pub file: Option<Rc<File>>,
    /// Where in the file, as byte offsets.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Problem {
    /// The line, from 1.
    pub fn line(&self) -> usize {
        let Some(file) = &self.file else { return 0 };
        let end = self.span.start.min(file.text.len());
        file.text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// `file:line`, as far as it is known.
    pub fn place(&self) -> String {
        match &self.file {
            Some(file) => format!("{}:{}", file.path.display(), self.line()),
            None => String::new(),
        }
    }
}

/// All mistakes of a configuration, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let renderer = Renderer::plain().decor_style(DecorStyle::Ascii);
        for problem in &self.0 {
            let title = Level::ERROR.primary_title(&*problem.message);
            let Some(file) = &problem.file else {
                writeln!(f, "error: {}\n  = help: {}\n", problem.message, problem.help)?;
                continue;
            };
            let end = file.text.len();
            let span = problem.span.start.min(end)..problem.span.end.min(end);
            let path = file.path.to_string_lossy();
            let snippet = Snippet::source(&*file.text)
                .path(&*path)
                .annotation(AnnotationKind::Primary.span(span));
            let report = [title.element(snippet).element(Level::HELP.message(&*problem.help))];
            writeln!(f, "{}\n", renderer.render(&report))?;
        }
        let count = self.0.len();
        let s = if count == 1 { "" } else { "s" };
        write!(f, "{count} error{s} in the configuration")
    }
}

impl std::error::Error for Problems {}
