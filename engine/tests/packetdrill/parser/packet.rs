//! Parsing of packets.

use super::{Parser, Result, Unreadable};
use crate::packetdrill::lexer::Kind;
use crate::packetdrill::options::{TcpOption, TcpOptions, from_hexadecimal};
use crate::packetdrill::script::{Ecn, Flags, Icmp, IpFields, Packet, Segment, Start};

fn unsupported<T>(reason: &str) -> Result<T> {
    Err(Unreadable::Unsupported(reason.to_owned()))
}

impl Parser {
    pub(super) fn packet(&mut self) -> Result<Packet> {
        self.at += 1;
        if self.is_quotation() {
            let quoted = self.quotation()?;
            return self.icmp(Some(quoted));
        }
        let ip = self.ip_fields()?;
        match self.peek() {
            Some(Kind::Word(word)) if word == "icmp" => self.icmp(None),
            Some(Kind::Word(word)) if matches!(word.as_str(), "ipv4" | "ipv6" | "gre" | "mpls") => {
                unsupported("packets in other packets are not part of TCP")
            }
            Some(Kind::Word(word)) if matches!(word.as_str(), "udp" | "udplite" | "sctp" | "raw") => {
                unsupported(&format!("the engine speaks TCP alone, not {word}"))
            }
            _ => Ok(Packet::Segment(self.segment(ip)?)),
        }
    }

    /// `[1:1(0)]` before `icmp`, as the FreeBSD branch writes it.
    fn is_quotation(&self) -> bool {
        self.is_symbol('[') && matches!(self.peek_after(1), Some(Kind::Integer(_)))
    }

    fn quotation(&mut self) -> Result<(u32, usize)> {
        self.expect('[')?;
        let (start, length) = self.sequence()?;
        self.expect(']')?;
        match start {
            Start::Relative(number) | Start::Absolute(number) => Ok((number, length)),
            Start::Any => self.unexpected("a sequence number"),
        }
    }

    fn icmp(&mut self, before: Option<(u32, usize)>) -> Result<Packet> {
        self.expect_word("icmp")?;
        let Some(Kind::Word(kind)) = self.next() else { return self.unexpected("the type of the ICMP message") };
        let code = match self.peek() {
            Some(Kind::Word(code)) if code != "mtu" && code != "id" => Some(code.clone()),
            _ => None,
        };
        self.at += usize::from(code.is_some());
        let mtu = if self.accept_word("mtu") { Some(self.integer()?) } else { None };
        if self.accept_word("id") {
            return unsupported("ICMP echoes are not part of TCP");
        }
        let after = if self.is_quotation() { Some(self.quotation()?) } else { None };
        if self.is_symbol('[') {
            return unsupported("an ICMP error that quotes something other than TCP");
        }
        let (quoted, quoted_length) = before.or(after).unwrap_or_default();
        Ok(Packet::Icmp(Icmp { kind, code, mtu, quoted, quoted_length }))
    }

    /// `[ect0]`, `(tos 0x20)`, `(ttl 4)`
    fn ip_fields(&mut self) -> Result<IpFields> {
        let mut fields = IpFields::default();
        while self.is_symbol('(') || self.is_symbol('[') {
            let close = if self.is_symbol('(') { ')' } else { ']' };
            self.at += 1;
            while !self.accept(close) {
                let Some(Kind::Word(name)) = self.next() else { return self.unexpected("a field of the IP header") };
                match name.as_str() {
                    "noecn" => fields.ecn = Some(Ecn::NotCapable),
                    "ect0" => fields.ecn = Some(Ecn::Ect0),
                    "ect1" => fields.ecn = Some(Ecn::Ect1),
                    "ect01" => fields.ecn = Some(Ecn::Ect01),
                    "ce" => fields.ecn = Some(Ecn::CongestionExperienced),
                    "tos" | "tclass" => fields.traffic_class = Some(self.integer()?),
                    "ttl" | "hlim" | "hop_limit" => fields.hop_limit = Some(self.integer()?),
                    "flowlabel" => return unsupported("flow labels are not TCP's to choose"),
                    _ => return self.error(format!("{name} is no field of the IP header")),
                }
                self.accept(',');
            }
        }
        Ok(fields)
    }

    fn segment(&mut self, ip: IpFields) -> Result<Segment> {
        let ports = match (self.peek(), self.peek_after(1)) {
            (Some(Kind::Integer(_)), Some(Kind::Symbol('>'))) => {
                let source = self.integer()?;
                self.at += 1;
                Some((source, self.integer()?))
            }
            _ => None,
        };
        let flags = self.flags()?;
        let (start, length) = self.sequence()?;
        let acknowledgement = if self.accept_word("ack") { self.integer()? } else { 0 };
        let window = if !self.accept_word("win") || self.accept('*') { None } else { Some(self.integer()?) };
        let urgent = if self.accept_word("urg") { self.integer()? } else { 0 };
        let options = self.options()?;
        if self.is_symbol('/') {
            return unsupported("TCP over UDP is not part of the engine");
        }
        Ok(Segment { ip, ports, flags, start, length, acknowledgement, window, urgent, options })
    }

    /// Flag letters, a period for ACK, and the AccECN counter in digits.
    fn flags(&mut self) -> Result<Flags> {
        if self.accept('-') {
            return Ok(Flags::default());
        }
        let mut bits = 0;
        if let Some(Kind::Word(word)) = self.peek().cloned() {
            for letter in word.chars() {
                match Flags::from_letter(letter) {
                    Some(flag) => bits |= flag.0,
                    None => return self.error(format!("{word} are no flags")),
                }
            }
            self.at += 1;
        } else if !self.is_symbol('.') && !matches!(self.peek(), Some(Kind::Float(_))) {
            return self.unexpected("flags");
        }
        if let Some(Kind::Float(counter)) = self.peek() {
            // `.5`: ACK, and the three bits of the AccECN counter.
            let Some(counter) = counter.strip_prefix('.').and_then(|digits| digits.parse::<u16>().ok()) else {
                return self.unexpected("flags");
            };
            bits |= Flags::ACK.0 | (counter & 7) << 6;
            self.at += 1;
        } else if self.accept('.') {
            bits |= Flags::ACK.0;
        }
        Ok(Flags(bits))
    }

    /// `1:11(10)`, `0:0(0)!`, `...(0)`
    fn sequence(&mut self) -> Result<(Start, usize)> {
        if self.peek() == Some(&Kind::Ellipsis) {
            self.at += 1;
            self.expect('(')?;
            let length = self.integer::<u16>()?;
            self.expect(')')?;
            return Ok((Start::Any, usize::from(length)));
        }
        let start: u32 = self.integer()?;
        self.expect(':')?;
        let end: u32 = self.integer()?;
        self.expect('(')?;
        let length: u16 = self.integer()?;
        self.expect(')')?;
        if start.wrapping_add(u32::from(length)) != end {
            return self.error("the sequence numbers and the length do not agree");
        }
        let start = if self.accept('!') { Start::Absolute(start) } else { Start::Relative(start) };
        Ok((start, usize::from(length)))
    }

    fn options(&mut self) -> Result<TcpOptions> {
        if !self.accept('<') {
            return Ok(TcpOptions::List(Vec::new()));
        }
        if self.peek() == Some(&Kind::Ellipsis) {
            self.at += 1;
            self.expect('>')?;
            return Ok(TcpOptions::Any);
        }
        let mut options = Vec::new();
        while !self.accept('>') {
            options.push(self.option()?);
            if !self.accept(',') {
                self.expect('>')?;
                break;
            }
        }
        Ok(TcpOptions::List(options))
    }

    fn option(&mut self) -> Result<TcpOption> {
        let Some(Kind::Word(name)) = self.next() else { return self.unexpected("a TCP option") };
        match name.as_str() {
            "eol" => Ok(TcpOption::EndOfList),
            "nop" => Ok(TcpOption::NoOperation),
            "mss" => Ok(TcpOption::MaximumSegmentSize(self.integer()?)),
            "wscale" => Ok(TcpOption::WindowScale(self.integer()?)),
            "sackOK" => Ok(TcpOption::SackPermitted),
            "sack" => self.sack(),
            "TS" => self.timestamps(),
            "FO" | "FOEXP" => self.octets().map(TcpOption::FastOpen),
            "raw" => self.octets().map(TcpOption::Raw),
            "md5" => unsupported("MD5 signatures (RFC 2385, obsoleted by RFC 5925) are not part of the engine"),
            _ => unsupported(&format!("the TCP option {name} is not part of the engine")),
        }
    }

    fn sack(&mut self) -> Result<TcpOption> {
        let mut blocks = Vec::new();
        while matches!(self.peek(), Some(Kind::Integer(_))) {
            let left = self.integer()?;
            self.expect(':')?;
            blocks.push((left, self.integer()?));
        }
        Ok(TcpOption::Sack(blocks))
    }

    fn timestamps(&mut self) -> Result<TcpOption> {
        self.expect_word("val")?;
        let value = if self.peek() == Some(&Kind::Ellipsis) {
            self.at += 1;
            None
        } else {
            Some(self.integer()?)
        };
        self.expect_word("ecr")?;
        let echo = self.integer()?;
        Ok(TcpOption::Timestamps { value, echo, echo_is_live: self.accept('!') })
    }

    /// Octets in hexadecimal: a word, a number, or a quoted string. `raw` uses quotes to keep leading zeros.
    fn octets(&mut self) -> Result<Vec<u8>> {
        let text = match self.peek() {
            Some(Kind::Integer(number)) => number.to_string(),
            Some(Kind::Word(word) | Kind::Text(word)) => word.clone(),
            _ => return Ok(Vec::new()),
        };
        match from_hexadecimal(&text) {
            Some(octets) => {
                self.at += 1;
                Ok(octets)
            }
            None => self.error(format!("{text} are no octets")),
        }
    }
}
