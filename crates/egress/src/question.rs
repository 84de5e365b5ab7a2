//! What a job asks a name server, and what it is told.
//!
//! A job gets the addresses of names that its rules name, and of nothing else: whatever it asks beside that is answered here,
//! without any question that leaves, so that names carry nothing out.

use crate::host::{Host, Name};
use hickory_proto::op::{DnsResponse, Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType, rdata};
use std::net::IpAddr;

/// The most bytes of an answer by UDP to somebody who does not say more. Source: RFC 1035, 4.2.1.
const PLAIN: u16 = 512;
/// The most bytes by UDP at all: it never leaves the machine.
const MOST: u16 = 4096;

/// A question of a job's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    message: Message,
    /// What it is about; `None` for a name that no host has.
    pub name: Option<Name>,
    /// What it wants to know.
    pub wants: Wants,
}

/// What a question wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wants {
    /// IPv4 addresses.
    V4,
    /// IPv6 addresses.
    V6,
    /// Anything else, which no job is told.
    Other,
}

/// What a job is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Told<'a> {
    /// These addresses, and for how many seconds they hold: those of the kind that it wants.
    Addresses(&'a [IpAddr], u32),
    /// There is no such name.
    NoName,
    /// Whoever knows could not be asked.
    Failed,
}

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// In one datagram of a bounded size.
    Udp,
    /// In a stream, behind its length.
    Tcp,
}

impl Question {
    /// Reads a question. `Err`: what to answer, if anything, to a message that is none.
    ///
    /// # Errors
    ///
    /// A message that cannot be read, that is no query, or does not ask exactly one question of the Internet's class.
    pub fn read(bytes: &[u8]) -> Result<Self, Option<Vec<u8>>> {
        let Ok(message) = Message::from_vec(bytes) else { return Err(refusal(bytes)) };
        if message.metadata.message_type != MessageType::Query {
            // An answer is never answered: two who do so never end.
            return Err(None);
        }
        if message.metadata.op_code != OpCode::Query {
            let (id, code) = (message.metadata.id, message.metadata.op_code);
            return Err(Message::error_msg(id, code, ResponseCode::NotImp).to_vec().ok());
        }
        let [query] = message.queries.as_slice() else { return Err(refusal(bytes)) };
        if query.query_class() != DNSClass::IN {
            return Err(refusal(bytes));
        }
        let wants = match query.query_type() {
            RecordType::A => Wants::V4,
            RecordType::AAAA => Wants::V6,
            _ => Wants::Other,
        };
        let name = match Host::parse(&query.name().to_ascii()) {
            Ok(Host::Name(name)) => Some(name),
            Ok(Host::Address(_)) | Err(_) => None,
        };
        Ok(Self { message, name, wants })
    }

    /// The answer, as bytes.
    ///
    /// # Errors
    ///
    /// When it cannot be encoded, which its question's own encoding makes impossible.
    pub fn answer(&self, told: Told<'_>, transport: Transport) -> Result<Vec<u8>, std::io::Error> {
        let asked = self.message.metadata;
        let mut answer = Message::response(asked.id, OpCode::Query);
        answer.metadata.recursion_desired = asked.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.add_queries(self.message.queries.iter().cloned());
        answer.metadata.response_code = match told {
            Told::Addresses(..) => ResponseCode::NoError,
            Told::NoName => ResponseCode::NXDomain,
            Told::Failed => ResponseCode::ServFail,
        };
        if let Some(edns) = &self.message.edns {
            let mut own = Edns::new();
            own.set_max_payload(MOST).set_version(0);
            answer.set_edns(own);
            if edns.version() > 0 {
                // RFC 6891, 6.1.3.
                answer.metadata.response_code = ResponseCode::BADVERS;
            }
        }
        if let (Told::Addresses(addresses, seconds), [query]) = (told, self.message.queries.as_slice()) {
            let wanted = addresses.iter().filter_map(|address| self.record(query, *address, seconds));
            answer.add_answers(wanted.collect::<Vec<_>>());
        }
        let bytes = answer.to_vec().map_err(std::io::Error::other)?;
        let room = self.message.edns.as_ref().map_or(PLAIN, |edns| edns.max_payload().clamp(PLAIN, MOST));
        if transport == Transport::Udp && bytes.len() > usize::from(room) {
            return answer.truncate().to_vec().map_err(std::io::Error::other);
        }
        Ok(bytes)
    }

    fn record(&self, query: &Query, address: IpAddr, seconds: u32) -> Option<Record> {
        let data = match (self.wants, address) {
            (Wants::V4, IpAddr::V4(address)) => RData::A(rdata::A(address)),
            (Wants::V6, IpAddr::V6(address)) => RData::AAAA(rdata::AAAA(address)),
            _ => return None,
        };
        Some(Record::from_rdata(query.name().clone(), seconds, data))
    }
}

/// A message that says no more than that its question is not one, if its beginning can be read.
fn refusal(bytes: &[u8]) -> Option<Vec<u8>> {
    let id = u16::from_be_bytes(*bytes.first_chunk()?);
    // An answer is not answered.
    let is_query = bytes.get(2).is_some_and(|flags| flags & 0x80 == 0);
    is_query.then(|| Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok())?
}

/// A question to a name server of this host's, with a random id, and the check of what it answers.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    message: Message,
    wants: RecordType,
}

/// What a name server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// The addresses of the wanted kind, in its order, and for how many seconds they hold.
    Addresses(Vec<IpAddr>, u32),
    /// There is no such name.
    NoName,
    /// More than fits a datagram: to be asked by TCP.
    Truncated,
    /// It could not, or would not.
    Failed,
}

impl Asked {
    pub(crate) fn new(name: &Name, wants: Wants) -> std::io::Result<Self> {
        let wants = match wants {
            Wants::V6 => RecordType::AAAA,
            Wants::V4 | Wants::Other => RecordType::A,
        };
        let mut own = hickory_proto::rr::Name::from_ascii(name.as_str()).map_err(std::io::Error::other)?;
        own.set_fqdn(true);
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(own, wants));
        let mut edns = Edns::new();
        // RFC 9715: what passes without fragments.
        edns.set_max_payload(1232).set_version(0);
        message.set_edns(edns);
        Ok(Self { message, wants })
    }

    pub(crate) fn bytes(&self) -> std::io::Result<Vec<u8>> {
        self.message.to_vec().map_err(std::io::Error::other)
    }

    /// What `bytes` say, if they answer this question. Whatever else arrives is somebody else's, or forged.
    pub(crate) fn read(&self, bytes: &[u8]) -> Option<Said> {
        let answer = DnsResponse::from_buffer(bytes.to_vec()).ok()?;
        let is_ours = answer.metadata.id == self.message.metadata.id
            && answer.metadata.message_type == MessageType::Response
            && answer.queries == self.message.queries;
        if !is_ours {
            return None;
        }
        if answer.metadata.truncation {
            return Some(Said::Truncated);
        }
        match answer.metadata.response_code {
            ResponseCode::NoError => Some(self.addresses(&answer)),
            ResponseCode::NXDomain => Some(Said::NoName),
            _ => Some(Said::Failed),
        }
    }

    /// The addresses of the name that was asked for, through its aliases: records of other names do not count.
    fn addresses(&self, answer: &Message) -> Said {
        let Some(query) = self.message.queries.first() else { return Said::Failed };
        let mut name = query.name().clone();
        let mut seconds = u32::MAX;
        // Each alias once; a circle of them ends.
        for _ in 0..=answer.answers.len() {
            let alias = answer.answers.iter().find_map(|record| match &record.data {
                RData::CNAME(alias) if record.name == name => Some((alias.0.clone(), record.ttl)),
                _ => None,
            });
            let Some((next, ttl)) = alias else { break };
            (name, seconds) = (next, seconds.min(ttl));
        }
        let mut addresses = Vec::new();
        for record in answer.answers.iter().filter(|record| record.name == name && record.record_type() == self.wants) {
            match &record.data {
                RData::A(address) => addresses.push(IpAddr::V4(address.0)),
                RData::AAAA(address) => addresses.push(IpAddr::V6(address.0)),
                _ => continue,
            }
            seconds = seconds.min(record.ttl);
        }
        let seconds = if addresses.is_empty() { 0 } else { seconds };
        Said::Addresses(addresses, seconds)
    }
}

#[cfg(test)]
mod tests;
