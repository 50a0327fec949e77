//! Text → tokens, by the rules of protobuf's text format: `#` comments, C-like numbers and strings.

use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::span::{Located, Source, Span};

/// What a token is; its text is the span's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Identifier,
    /// Decimal, hexadecimal or octal.
    Integer,
    /// With a point, an exponent or a trailing `f`.
    Float,
    /// With its quotes.
    String,
    /// One character.
    Symbol(char),
    End,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

pub(crate) struct Lexer<'a> {
    source: &'a Arc<Source>,
    text: &'a [u8],
    at: usize,
    pub comments: Vec<Span>,
    pub errors: Vec<Error>,
}

impl<'a> Lexer<'a> {
    pub fn new(source: &'a Arc<Source>) -> Lexer<'a> {
        let text = source.text().as_bytes();
        Lexer { source, text, at: 0, comments: Vec::new(), errors: Vec::new() }
    }

    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn error(&mut self, start: usize, what: impl Into<String>) -> &mut Error {
        let place = Located { source: self.source.clone(), span: Span::new(start, self.at) };
        self.errors.push(Error::at(ErrorKind::Token(what.into()), place));
        let last = self.errors.len() - 1;
        &mut self.errors[last]
    }

    /// The same, with what to write instead.
    fn error_cured(&mut self, start: usize, what: impl Into<String>, cure: impl Into<String>) {
        self.error(start, what).notes.push(cure.into());
    }

    /// The character at the current place.
    fn char(&self) -> char {
        self.source.text()[self.at..].chars().next().unwrap_or('\0')
    }

    fn skip_blank(&mut self) {
        while let Some(&c) = self.text.get(self.at) {
            match c {
                b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c => self.at += 1,
                b'/' if matches!(self.text.get(self.at + 1), Some(b'/' | b'*')) => {
                    self.foreign_comment();
                }
                0x80.. if foreign_blank(self.char()) => {
                    let (start, c) = (self.at, self.char());
                    while foreign_blank(self.char()) {
                        self.at += self.char().len_utf8();
                    }
                    let what = format!("a blank that is no ordinary space, U+{:04X}", u32::from(c));
                    self.error_cured(start, what, "write a space in its place");
                }
                b'#' => {
                    let start = self.at;
                    let rest = &self.text[self.at..];
                    self.at += rest.iter().position(|&c| c == b'\n').unwrap_or(rest.len());
                    self.comments.push(Span::new(start, self.at));
                }
                _ => return,
            }
        }
    }

    /// `// …` to the end of the line, or `/* … */`.
    fn foreign_comment(&mut self) {
        let (start, rest) = (self.at, &self.text[self.at..]);
        let line = rest[1] == b'/';
        let end = match line {
            true => rest.iter().position(|&c| c == b'\n'),
            false => rest.windows(2).skip(2).position(|w| w == b"*/").map(|at| at + 4),
        };
        self.at += end.unwrap_or(rest.len());
        let what = format!("`{}` begins no comment", if line { "//" } else { "/*" });
        self.error_cured(start, what, "comments begin with `#`");
    }

    pub fn next_token(&mut self) -> Token {
        self.skip_blank();
        let start = self.at;
        let Some(&c) = self.text.get(start) else {
            return Token { kind: TokenKind::End, span: Span::new(start, start) };
        };
        let kind = match c {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                self.skip_while(|c| c.is_ascii_alphanumeric() || c == b'_');
                TokenKind::Identifier
            }
            b'0'..=b'9' => self.number(),
            b'.' if self.text.get(start + 1).is_some_and(u8::is_ascii_digit) => self.number(),
            b'"' | b'\'' => self.string(c),
            _ => {
                let c = self.char();
                self.at += c.len_utf8();
                match plain(c) {
                    _ if CURLY.contains(&c) => self.curly_string(start),
                    Some(plain) => {
                        let what = format!("`{c}` is not `{plain}`");
                        self.error_cured(start, what, format!("write `{plain}`"));
                        TokenKind::Symbol(plain)
                    }
                    None => TokenKind::Symbol(c),
                }
            }
        };
        Token { kind, span: Span::new(start, self.at) }
    }

    fn skip_while(&mut self, pass: impl Fn(u8) -> bool) -> usize {
        let rest = &self.text[self.at..];
        let n = rest.iter().position(|&c| !pass(c)).unwrap_or(rest.len());
        self.at += n;
        n
    }

    fn number(&mut self) -> TokenKind {
        let start = self.at;
        if self.peek() == b'0' && matches!(self.text.get(start + 1), Some(b'x' | b'X')) {
            self.at += 2;
            if self.skip_while(|c| c.is_ascii_hexdigit()) == 0 {
                self.error(start, "`0x` must be followed by hexadecimal digits");
            }
            return TokenKind::Integer;
        }
        let octal = self.peek() == b'0' && self.text.get(start + 1).is_some_and(u8::is_ascii_digit);
        self.skip_while(|c| c.is_ascii_digit());
        let digits = self.at;
        let mut kind = TokenKind::Integer;
        if self.peek() == b'.' {
            self.at += 1;
            self.skip_while(|c| c.is_ascii_digit());
            kind = TokenKind::Float;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            if self.skip_while(|c| c.is_ascii_digit()) == 0 {
                self.error(start, "`e` must be followed by an exponent");
            }
            kind = TokenKind::Float;
        }
        if matches!(self.peek(), b'f' | b'F') {
            self.at += 1;
            kind = TokenKind::Float;
        }
        if self.peek() == b'.' {
            self.skip_while(|c| c.is_ascii_digit() || c == b'.');
            self.error(start, "a number has one point, in front of the exponent");
        } else if octal && self.at > digits {
            self.error(
                start,
                "a number that is no integer must not start with 0 and another digit",
            );
        } else if octal && self.text[start..digits].iter().any(|c| matches!(c, b'8' | b'9')) {
            self.error(start, "a number that starts with 0 is octal: digits 0 to 7 only");
        }
        kind
    }

    fn string(&mut self, quote: u8) -> TokenKind {
        let start = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                None => {
                    self.error(start, "the string is not closed");
                    break;
                }
                Some(b'\n') => {
                    let curly =
                        self.source.text()[start..self.at].chars().find(|c| CURLY.contains(c));
                    let error = self.error(start, "the string is not closed on its line");
                    let cure =
                        |c| format!("write a straight `{}` where `{c}` stands", quote as char);
                    error.notes.extend(curly.map(cure));
                    break;
                }
                Some(&c) if c == quote => {
                    self.at += 1;
                    break;
                }
                Some(b'\\') => {
                    let escape = self.at;
                    self.at += 1;
                    if !self.escape() {
                        let cure = r"write `\\` for a backslash; paths may have `/` everywhere";
                        self.error_cured(escape, "unknown escape in a string", cure);
                    }
                }
                Some(_) => self.at += 1,
            }
        }
        TokenKind::String
    }

    /// A string in quotes of print, the first of which is taken: an error, but its end is known.
    fn curly_string(&mut self, start: usize) -> TokenKind {
        let ends = |c: char| CURLY.contains(&c) || matches!(c, '"' | '\'' | '\n');
        let rest = &self.source.text()[self.at..];
        let inner = &rest[..rest.find(ends).unwrap_or(rest.len())];
        self.at += inner.len();
        if !matches!(self.char(), '\n' | '\0') {
            self.at += self.char().len_utf8();
        }
        let error = self.error(start, "a string stands in straight quotes");
        if inner.chars().count() <= 40 {
            error.notes.push(format!("write `\"{}\"`", inner.trim_end()));
        }
        TokenKind::String
    }

    /// Behind a backslash; true when the escape exists. Leaves line ends to the caller.
    fn escape(&mut self) -> bool {
        let c = self.peek();
        let digits = |s: &Self, n: usize| {
            let hex = s.text.get(s.at + 1..s.at + 1 + n);
            hex.is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit))
        };
        let length = match c {
            b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'\\' | b'?' | b'\'' | b'"' => 1,
            b'0'..=b'7' => 1,
            b'x' if digits(self, 1) => 2,
            b'u' if digits(self, 4) => 5,
            b'U' if digits(self, 8) && self.unicode_fits() => 9,
            _ => return false,
        };
        self.at += length;
        true
    }

    fn unicode_fits(&self) -> bool {
        let digits = std::str::from_utf8(&self.text[self.at + 1..self.at + 9]).unwrap_or("");
        u32::from_str_radix(digits, 16).is_ok_and(|v| v <= 0x10_ffff)
    }
}

/// Quotes that print has and the format has not.
const CURLY: [char; 9] = ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»'];

/// Blanks that pages of text bring along.
fn foreign_blank(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{3000}' | '\u{feff}')
}

/// The symbol that a full-width one stands for.
fn plain(c: char) -> Option<char> {
    let wide = ('\u{ff01}'..='\u{ff5e}').contains(&c);
    let plain = char::from_u32(u32::from(c).wrapping_sub(0xfee0)).filter(|_| wide)?;
    matches!(plain, ':' | '{' | '}' | '<' | '>' | '[' | ']' | ',' | ';' | '-').then_some(plain)
}

/// Appends the bytes a string token (with its quotes) stands for.
pub(crate) fn unescape(token: &str, out: &mut Vec<u8>) {
    let bytes = token.as_bytes();
    if token.starts_with(CURLY) {
        out.extend(token.trim_matches(CURLY).bytes());
        return;
    }
    let quote = bytes.first().copied().unwrap_or(b'"');
    let mut i = 1;
    while i < bytes.len() {
        let c = bytes[i];
        i += 1;
        if c == quote {
            return;
        }
        if c != b'\\' {
            out.push(c);
            continue;
        }
        let Some(&e) = bytes.get(i) else { return };
        i += 1;
        match e {
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(0x0b),
            b'0'..=b'7' => {
                // Up to three octal digits, cut to eight bits.
                let (value, next) = radix(bytes, i - 1, 3, 8);
                out.push(value as u8);
                i = next;
            }
            b'x' => {
                let (value, next) = radix(bytes, i, 2, 16);
                out.push(value as u8);
                i = next;
            }
            b'u' | b'U' => {
                let (mut value, mut next) = radix(bytes, i, if e == b'u' { 4 } else { 8 }, 16);
                // A UTF-16 pair may be written as two escapes.
                if (0xd800..0xdc00).contains(&value) && bytes.get(next..next + 2) == Some(b"\\u") {
                    let (low, after) = radix(bytes, next + 2, 4, 16);
                    if (0xdc00..0xe000).contains(&low) {
                        value = 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
                        next = after;
                    }
                }
                push_code_point(value, out);
                i = next;
            }
            other => out.push(other),
        }
    }
}

/// Reads at most `most` digits from `start`: the value and where it ended.
fn radix(bytes: &[u8], start: usize, most: usize, base: u32) -> (u32, usize) {
    let mut value = 0u32;
    let mut i = start;
    while i < start + most {
        let Some(d) = bytes.get(i).and_then(|&b| (b as char).to_digit(base)) else { break };
        value = value.wrapping_mul(base).wrapping_add(d);
        i += 1;
    }
    (value, i)
}

/// As UTF-8; half of a pair becomes the three bytes that no UTF-8 check accepts.
fn push_code_point(value: u32, out: &mut Vec<u8>) {
    match char::from_u32(value) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend([
            0xe0 | (value >> 12) as u8 & 0x0f,
            0x80 | (value >> 6) as u8 & 0x3f,
            0x80 | value as u8 & 0x3f,
        ]),
    }
}
