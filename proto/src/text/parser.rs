//! Tokens → tree. Goes on after an error at the next field, so that one run shows all of them.

use std::sync::Arc;

use super::MAX_ERRORS;
use super::lexer::{Lexer, Token, TokenKind, unescape};
use super::tree::{Document, Field, Literal, Message, Scalar, Value};
use crate::error::{Error, ErrorKind};
use crate::span::{Located, Source, Span};

/// Blocks may nest this deep: more than any net, less than the stack.
const MAX_DEPTH: usize = 100;

/// The tree, with what is wrong with the text.
pub(crate) fn parse(source: &Arc<Source>) -> (Document, Vec<Error>) {
    let mut lexer = Lexer::new(source);
    let current = lexer.next_token();
    let ahead = lexer.next_token();
    let mut p = Parser {
        source,
        lexer,
        current,
        ahead,
        last: Span::default(),
        depth: 0,
        open: Vec::new(),
        unclosed: None,
    };
    let fields = p.fields(None);
    let end = source.text().len();
    let root = Message { fields, span: Span::new(0, end) };
    let mut errors = p.lexer.errors;
    errors.sort_by_key(|e| e.place.as_ref().map_or(0, |p| p.span.start));
    let document = Document {
        source: source.clone(),
        root,
        comments: p.lexer.comments,
        unclosed: p.unclosed.unwrap_or_default(),
    };
    (document, errors)
}

struct Parser<'a> {
    source: &'a Arc<Source>,
    lexer: Lexer<'a>,
    current: Token,
    ahead: Token,
    /// The token taken last.
    last: Span,
    depth: usize,
    /// Fields whose blocks are open, with the opening brace.
    open: Vec<(String, Span)>,
    /// The same at the end of the file.
    unclosed: Option<Vec<(String, Span)>>,
}

impl Parser<'_> {
    fn text(&self, token: Token) -> &str {
        self.source.slice(token.span)
    }

    fn advance(&mut self) -> Token {
        let token = self.current;
        self.last = token.span;
        self.current = self.ahead;
        self.ahead = self.lexer.next_token();
        token
    }

    fn at(&self, symbol: char) -> bool {
        self.current.kind == TokenKind::Symbol(symbol)
    }

    fn take(&mut self, symbol: char) -> bool {
        let found = self.at(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn at_end(&self) -> bool {
        self.current.kind == TokenKind::End || self.lexer.errors.len() >= MAX_ERRORS
    }

    fn error(&mut self, kind: ErrorKind, span: Span) {
        let place = Located { source: self.source.clone(), span };
        self.lexer.errors.push(Error::at(kind, place));
    }

    fn expected(&mut self, expected: impl Into<String>) {
        let found = match self.current.kind {
            TokenKind::End => "the end of the file".to_string(),
            TokenKind::String => {
                let text = self.text(self.current);
                if text.chars().count() > 40 { "a string".into() } else { text.to_string() }
            }
            _ => format!("`{}`", self.text(self.current)),
        };
        self.error(ErrorKind::Syntax { expected: expected.into(), found }, self.current.span);
    }

    /// What to write where the error told last is.
    fn cure(&mut self, cure: String) {
        if let Some(error) = self.lexer.errors.last_mut().filter(|_| cure.len() < 60) {
            error.notes.push(cure);
        }
    }

    /// A value without the colon in front of it; true when one stands here.
    fn missing_colon(&mut self, name: &str) -> bool {
        self.expected(format!("`:` or `{{` behind `{name}`"));
        // As other languages assign.
        self.take('=');
        let value = match self.current.kind {
            TokenKind::String | TokenKind::Integer | TokenKind::Float => true,
            TokenKind::Identifier => {
                !matches!(self.ahead.kind, TokenKind::Symbol(':' | '=' | '{' | '<'))
            }
            _ => false,
        };
        if value {
            self.cure(format!("write `{name}: {}`", self.text(self.current)));
        }
        value
    }

    /// Goes on to where a field may start or a block may end.
    fn recover(&mut self) {
        let mut inner = 0usize;
        while self.current.kind != TokenKind::End {
            let closing = self.at('}') || self.at('>');
            if closing && inner == 0 {
                return;
            }
            let opens = |k| matches!(k, TokenKind::Symbol('{' | '<'));
            let follows = matches!(self.ahead.kind, TokenKind::Symbol(':' | '{' | '<'));
            if inner == 0 && self.current.kind == TokenKind::Identifier && follows {
                return;
            }
            if opens(self.current.kind) {
                inner += 1;
            } else if closing {
                inner -= 1;
            }
            self.advance();
        }
    }

    /// Fields up to the closing brace, which is taken too.
    fn fields(&mut self, close: Option<char>) -> Vec<Field> {
        let mut fields = Vec::new();
        loop {
            if self.at_end() {
                let ends = self.current.kind == TokenKind::End;
                if ends && close.is_some() && self.unclosed.is_none() {
                    self.unclosed = Some(self.open.clone());
                }
                return fields;
            }
            match self.current.kind {
                TokenKind::Symbol(c @ ('}' | '>')) => match close {
                    Some(wanted) => {
                        if c != wanted {
                            self.expected(format!("`{wanted}`"));
                        }
                        self.advance();
                        return fields;
                    }
                    None => {
                        self.expected("a field name (no block is open here)");
                        self.advance();
                    }
                },
                TokenKind::Identifier => match self.field() {
                    Some(field) => fields.push(field),
                    None => self.recover(),
                },
                _ => {
                    self.expected("a field name");
                    // A block in brackets or a comment of another language: skip it as a whole.
                    if !self.at('{') && !self.at('<') {
                        self.advance();
                    }
                    self.recover();
                }
            }
        }
    }

    fn field(&mut self) -> Option<Field> {
        let name_token = self.advance();
        let name = self.text(name_token).to_string();
        let colon = self.take(':');
        let value = match self.current.kind {
            TokenKind::Symbol('{' | '<') => Value::Message(self.message(&name)?),
            TokenKind::Symbol('[') => self.list(&name)?,
            _ => {
                // The value is most likely there, only the colon is not.
                if !colon && !self.missing_colon(&name) {
                    return None;
                }
                Value::Scalar(self.scalar(&name)?)
            }
        };
        if !self.take(';') {
            self.take(',');
        }
        let span = name_token.span.to(value.span());
        Some(Field { name, name_span: name_token.span, span, colon, value })
    }

    fn message(&mut self, name: &str) -> Option<Message> {
        let open = self.current;
        if self.depth >= MAX_DEPTH {
            self.error(ErrorKind::TooDeep(MAX_DEPTH), open.span);
            // Nothing behind this can be trusted to mean what its nesting says.
            while self.current.kind != TokenKind::End {
                self.advance();
            }
            return None;
        }
        self.advance();
        let close = if open.kind == TokenKind::Symbol('<') { '>' } else { '}' };
        self.depth += 1;
        self.open.push((name.to_string(), open.span));
        let fields = self.fields(Some(close));
        self.open.pop();
        self.depth -= 1;
        Some(Message { fields, span: open.span.to(self.last) })
    }

    fn list(&mut self, name: &str) -> Option<Value> {
        let open = self.advance();
        let mut items = Vec::new();
        if !self.at(']') {
            loop {
                match self.current.kind {
                    TokenKind::Symbol('{' | '<') => items.push(Value::Message(self.message(name)?)),
                    _ => items.push(Value::Scalar(self.scalar(name)?)),
                }
                if self.at(']') {
                    break;
                }
                if !self.take(',') {
                    self.expected("`,` or `]`");
                    return None;
                }
            }
        }
        let close = self.advance();
        Some(Value::List(items, open.span.to(close.span)))
    }

    fn scalar(&mut self, name: &str) -> Option<Scalar> {
        let start = self.current.span;
        let negative = self.take('-');
        let token = self.current;
        let literal = match token.kind {
            TokenKind::Integer => Literal::Integer(self.text(token).to_string()),
            TokenKind::Float => Literal::Float(self.text(token).to_string()),
            TokenKind::Identifier if self.ahead.kind != TokenKind::Symbol(':') => {
                Literal::Word(self.text(token).to_string())
            }
            TokenKind::String if !negative => {
                let mut bytes = Vec::new();
                let mut span = token.span;
                while self.current.kind == TokenKind::String {
                    if self.source.lossy() && self.text(self.current).contains('\u{fffd}') {
                        self.error(ErrorKind::NotUtf8 { field: name.into() }, self.current.span);
                    }
                    span = start.to(self.current.span);
                    unescape(self.source.slice(self.current.span), &mut bytes);
                    self.advance();
                }
                return Some(Scalar { literal: Literal::String(bytes), negative, span });
            }
            _ => {
                self.expected(format!("a value for `{name}`"));
                return None;
            }
        };
        self.advance();
        Some(Scalar { literal, negative, span: start.to(token.span) })
    }
}
