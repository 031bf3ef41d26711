//! A Rust file in three views of equal length: as it is, its code, its comments.
//!
//! In the code view comments and the contents of literals are blanks, in the comment view all else
//! is. So a word is looked for where it means something, and an offset is the same in all views.

/// A Rust source file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Relative to the repository's root, with `/`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Without comments and the contents of literals; their quotes stay.
    pub(crate) code: String,
    /// The comments only.
    pub(crate) comments: String,
}

impl Source {
    /// Splits `text` into its views.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut lexer =
            Lexer { bytes: text.as_bytes(), at: 0, kinds: vec![Kind::Code; text.len()] };
        lexer.run();
        let kinds = lexer.kinds;
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: view(text, &kinds, Kind::Code),
            comments: view(text, &kinds, Kind::Comment),
        }
    }

    /// The line of a byte offset, from 1.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// Where `word` stands in `text` with no letter, digit or underscore beside it.
///
/// A mark at an end of `word` (`!` of a macro, `::`) needs no such boundary.
pub(crate) fn word_offsets<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    let joins = |a: u8, b: u8| is_word_byte(a) && is_word_byte(b);
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let end = at + word.len();
        let before = at > 0 && joins(bytes[at - 1], bytes[at]);
        let after = end < bytes.len() && joins(bytes[end - 1], bytes[end]);
        !before && !after
    })
}

/// Of an identifier.
pub(crate) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Everything but `wanted` and line ends becomes blank. Whole characters are blanked, since kinds
/// change at ASCII bytes only.
fn view(text: &str, kinds: &[Kind], wanted: Kind) -> String {
    let bytes = text.bytes().zip(kinds);
    let kept = bytes.map(|(byte, kind)| if byte == b'\n' || *kind == wanted { byte } else { b' ' });
    String::from_utf8(kept.collect()).expect("characters are kept or blanked whole")
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    kinds: Vec<Kind>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'/' if self.peek(1) == Some(b'/') => self.line_comment(),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
                b'"' => self.string(),
                b'\'' => self.quote(),
                b'r' | b'b' | b'c' if !self.follows_word() => self.prefixed(),
                _ => self.at += 1,
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn follows_word(&self) -> bool {
        self.at > 0 && is_word_byte(self.bytes[self.at - 1])
    }

    /// Marks from here to `end` and goes there.
    fn mark(&mut self, end: usize, kind: Kind) {
        let end = end.min(self.bytes.len());
        self.kinds[self.at..end].fill(kind);
        self.at = end;
    }

    fn line_comment(&mut self) {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        self.mark(self.at + length, Kind::Comment);
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let (mut end, mut depth) = (self.at + 2, 1);
        while depth > 0 && end < self.bytes.len() {
            match &self.bytes[end..] {
                [b'*', b'/', ..] => (depth, end) = (depth - 1, end + 2),
                [b'/', b'*', ..] => (depth, end) = (depth + 1, end + 2),
                _ => end += 1,
            }
        }
        self.mark(end, Kind::Comment);
    }

    /// From its opening quote.
    fn string(&mut self) {
        self.at += 1;
        let mut end = self.at;
        while let Some(&byte) = self.bytes.get(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        self.mark(end, Kind::Literal);
        self.at += 1;
    }

    /// A character literal, or else a lifetime.
    fn quote(&mut self) {
        let rest = std::str::from_utf8(&self.bytes[self.at + 1..]).unwrap_or("");
        let mut characters = rest.char_indices();
        let length = match (characters.next(), characters.next()) {
            (Some((_, '\\')), Some((escaped, _))) => {
                rest[escaped + 1..].find('\'').map(|at| escaped + 1 + at)
            }
            (Some((_, first)), Some((at, '\''))) if first != '\'' => Some(at),
            _ => None,
        };
        self.at += 1;
        if let Some(length) = length {
            self.mark(self.at + length, Kind::Literal);
            self.at += 1;
        }
    }

    /// `r"…"`, `r#"…"#`, `b"…"`, `b'…'`, `br"…"`, `c"…"`, `cr"…"`; or a word that begins so.
    fn prefixed(&mut self) {
        let mut ahead = 0;
        while matches!(self.peek(ahead), Some(b'r' | b'b' | b'c')) && ahead < 2 {
            ahead += 1;
        }
        let raw = self.bytes[self.at..self.at + ahead].contains(&b'r');
        let hashes = self.bytes[self.at + ahead..].iter().take_while(|b| **b == b'#').count();
        self.at += ahead;
        match self.peek(if raw { hashes } else { 0 }) {
            Some(b'"') if raw => self.raw_string(hashes),
            // The next turn of the loop takes the quote itself.
            Some(_) | None => {}
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.at += hashes + 1;
        let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
        let rest = &self.bytes[self.at..];
        let length = rest.windows(close.len()).position(|window| window == close);
        self.mark(self.at + length.unwrap_or(rest.len()), Kind::Literal);
        self.at = (self.at + close.len()).min(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_comments_are_told_apart_from_literals() {
        let cases = [
            ("a // b", "a     ", "// b"),
            ("a /* b /* c */ d */ e", "a                   e", "/* b /* c */ d */"),
            ("f(\"// no\", x)", "f(\"     \", x)", ""),
            ("f(\"a\\\"b\"); // c", "f(\"    \");     ", "// c"),
            ("r#\"a \" // \"# b", "r#\"       \"# b", ""),
            ("b\"//\" c", "b\"  \" c", ""),
            ("'\"' 'a' '\\'' x<'a>", "' ' ' ' '  ' x<'a>", ""),
            ("b'{' '}'", "b' ' ' '", ""),
            ("for_r\"x\"", "for_r\" \"", ""),
            ("r#type // x", "r#type     ", "// x"),
        ];
        for (text, code, comments) in cases {
            let source = Source::new("a.rs", text);
            assert_eq!(source.code, code, "code of {text}");
            assert_eq!(source.comments.trim(), comments.trim(), "comments of {text}");
        }
    }

    #[test]
    fn views_keep_offsets_and_lines_with_characters_of_many_bytes() {
        let source = Source::new("a.rs", "// §4\nlet s = \"ä\n\"; fn x() {}\n");
        assert_eq!(source.code.len(), source.text.len());
        assert_eq!(source.comments.len(), source.text.len());
        assert_eq!(source.line_of(source.code.find("fn").expect("a function")), 3);
    }

    #[test]
    fn a_word_is_found_whole_only() {
        let found: Vec<_> = word_offsets("xab ab abx ab! ab", "ab").collect();
        assert_eq!(found, [4, 11, 15]);
        assert_eq!(word_offsets("a::b!(x)", "b!").count(), 1);
    }
}
