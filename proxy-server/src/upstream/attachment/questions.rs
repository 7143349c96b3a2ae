//! Turns questions in a modern upstream's response into requests to a legacy client (2026-07-28, "Multi Round-Trip
//! Requests").

use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::{Error, Kind};
use crate::protocol::{Kind as MessageKind, Message, Object};
use crate::upstream::event::Event;
use crate::upstream::events::Events;
use crate::upstream::question::Question;

/// Delay before a request is repeated for an upstream that returned only `requestState`.
const BREATH: Duration = Duration::from_millis(200);
/// Supported questions, each with the client capability that it requires.
const QUESTIONS: [(&str, &str); 3] =
    [("elicitation/create", "elicitation"), ("sampling/createMessage", "sampling"), ("roots/list", "roots")];

/// Extra parameters for the next request of the call.
#[derive(Default)]
pub(super) struct Round {
    responses: Option<String>,
    state: Option<String>,
}

/// A response that asks for input.
pub(super) struct Asked {
    inputs: Vec<Input>,
    state: Option<String>,
}

/// One requested input.
struct Input {
    key: String,
    method: String,
    params: String,
    /// The elicitation id that legacy clients expect in URL mode.
    visit: Option<String>,
}

/// The client's reaction to the questions.
pub(super) enum Settled {
    Answered(Round),
    /// The client returned an error, which ends the call.
    Refused(Message),
}

impl Round {
    /// Returns the members to add to the request's `params`.
    pub(super) fn members(&self) -> Vec<(&str, &str)> {
        let responses = self.responses.as_deref().map(|raw| ("inputResponses", raw));
        let state = self.state.as_deref().map(|raw| ("requestState", raw));
        responses.into_iter().chain(state).collect()
    }
}

impl Asked {
    /// Reads a response; `None` if it asks nothing. Only some methods may be answered with questions.
    pub(super) fn read(method: &str, answer: &Message) -> Result<Option<Self>, Error> {
        let Ok(result) = Object::read(answer.body()) else { return Ok(None) };
        match result.text("resultType").as_deref() {
            Some("input_required") => {}
            Some("complete") | None => return Ok(None),
            Some(other) => return Err(bad(&format!("its answer is of the unknown kind `{other}`"))),
        }
        if !matches!(method, "tools/call" | "prompts/get" | "resources/read") {
            return Err(bad("it asks for input where it may not"));
        }
        let requests = result.get("inputRequests").unwrap_or("{}");
        let requests = Object::read(requests).map_err(|error| Error::new(Kind::InvalidResponse).because(error))?;
        let inputs = requests.members().map(|(key, raw)| Input::read(key, raw)).collect::<Option<Vec<_>>>();
        let inputs = inputs.ok_or_else(|| bad("one of its questions is no request"))?;
        Ok(Some(Self { inputs, state: result.get("requestState").map(str::to_owned) }))
    }

    /// Returns the elicitation ids of requested URL visits.
    pub(super) fn visits(&self) -> Vec<String> {
        self.inputs.iter().filter_map(|input| input.visit.clone()).collect()
    }

    /// Sends all questions to the client at once and waits for every answer.
    pub(super) async fn put(self, capabilities: &str, events: &Events, deadline: Instant) -> Result<Settled, Error> {
        let can = Object::read(capabilities).ok();
        let can = |name: &str| can.as_ref().is_some_and(|can| can.get(name).is_some());
        let mut waiting = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let capability = QUESTIONS.iter().find(|(method, _)| *method == input.method).map(|(_, name)| *name);
            if !capability.is_some_and(can) {
                return Err(bad(&format!("it asks for `{}`, which the client does not offer", input.method)));
            }
            let (question, answer) = Question::ask(&input.method, &input.params);
            events.put(Event::Question(question), usize::MAX).map_err(|_| Error::new(Kind::Cancelled))?;
            waiting.push(answer);
        }
        if waiting.is_empty() {
            sleep(BREATH).await;
        }
        let answers = timeout_at(deadline, join_all(waiting)).await.map_err(|_| Error::new(Kind::TimedOut))?;
        let mut responses = Vec::with_capacity(answers.len());
        for (input, answer) in self.inputs.iter().zip(answers) {
            match input.response(answer) {
                Ok(response) => responses.push(response),
                Err(Some(refusal)) => return Ok(Settled::Refused(refusal)),
                Err(None) => {
                    return Err(Error::new(Kind::InvalidResponse).because("the client answered no question of it"));
                }
            }
        }
        let responses = (!responses.is_empty()).then(|| format!("{{{}}}", responses.join(",")));
        Ok(Settled::Answered(Round { responses, state: self.state }))
    }
}

impl Input {
    fn read(key: &str, raw: &str) -> Option<Self> {
        let request = Object::read(raw).ok()?;
        let method = request.text("method")?.into_owned();
        let params = request.get("params").unwrap_or("{}");
        let read = Object::read(params).ok()?;
        let visit = (method == "elicitation/create" && read.text("mode").as_deref() == Some("url")).then(random);
        let params = match &visit {
            Some(id) => format!(r#"{{"elicitationId":"{id}",{}"#, params.get(1..)?),
            None => params.to_owned(),
        };
        Some(Self { key: key.to_owned(), method, params, visit })
    }

    /// Builds the member of `inputResponses`, or returns the client's error.
    fn response(&self, answer: Result<Message, oneshot::error::RecvError>) -> Result<String, Option<Message>> {
        let key = serde_json::Value::from(self.key.as_str());
        match answer {
            Ok(answer) if answer.kind() == MessageKind::Result => Ok(format!("{key}:{}", answer.body())),
            // An error of the client, or none, counts as a cancelled elicitation, which the upstream can handle.
            Ok(_) | Err(_) if self.method == "elicitation/create" => Ok(format!(r#"{key}:{{"action":"cancel"}}"#)),
            Ok(refusal) => Err(Some(refusal)),
            Err(_) => Err(None),
        }
    }
}

fn bad(why: &str) -> Error {
    Error::new(Kind::InvalidResponse).because(why)
}

fn random() -> String {
    let mut bytes = [0; 16];
    // Without randomness the id is still unique within its call.
    getrandom::fill(&mut bytes).ok();
    format!("{:032x}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::events::event_queue;

    fn answer(result: &str) -> Message {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        Message::parse(text.into()).expect("a response")
    }

    #[tokio::test]
    async fn questions_become_requests_and_answers_members() {
        let asked = answer(
            r#"{"resultType":"input_required","requestState":"s\u0031","inputRequests":{"a b":{"method":"elicitation/create","params":{"message":"m"}},"r":{"method":"roots/list"}}}"#,
        );
        let asked = Asked::read("tools/call", &asked).ok().flatten().expect("questions");
        let (events, mut queue) = event_queue();
        let client = async {
            let mut seen = Vec::new();
            for response in [r#""result":{"action":"accept"}"#, r#""result":{"roots":[]}"#] {
                let Some(Event::Question(question)) = queue.recv().await else { panic!("no question") };
                let id = format!(r#""id":{},"#, question.serial);
                seen.push(String::from_utf8_lossy(&question.message).replace(&id, r#""id":N,"#));
                let text = format!(r#"{{"jsonrpc":"2.0","id":1,{response}}}"#);
                question.reply.answer(&Message::parse(text.into()).expect("a response"));
            }
            seen
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        let (seen, settled) = tokio::join!(client, asked.put(r#"{"elicitation":{},"roots":{}}"#, &events, deadline));
        assert_eq!(
            seen,
            [
                r#"{"jsonrpc":"2.0","id":N,"method":"elicitation/create","params":{"message":"m"}}"#,
                r#"{"jsonrpc":"2.0","id":N,"method":"roots/list","params":{}}"#
            ]
        );
        let Ok(Settled::Answered(round)) = settled else { panic!("not answered") };
        assert_eq!(
            round.members(),
            [("inputResponses", r#"{"a b":{"action":"accept"},"r":{"roots":[]}}"#), ("requestState", r#""s\u0031""#)]
        );
    }

    #[tokio::test]
    async fn nobody_is_asked_what_it_did_not_offer() {
        let asked = answer(r#"{"resultType":"input_required","inputRequests":{"r":{"method":"roots/list"}}}"#);
        let asked = Asked::read("tools/call", &asked).ok().flatten().expect("questions");
        let (events, _queue) = event_queue();
        assert!(asked.put(r#"{"sampling":{}}"#, &events, Instant::now() + Duration::from_secs(5)).await.is_err());
    }

    #[test]
    fn only_some_requests_may_be_answered_with_questions() {
        assert!(Asked::read("tools/list", &answer(r#"{"resultType":"input_required"}"#)).is_err());
        assert!(Asked::read("tools/call", &answer(r#"{"resultType":"task"}"#)).is_err());
        assert!(matches!(Asked::read("tools/call", &answer(r#"{"resultType":"complete"}"#)), Ok(None)));
        assert!(matches!(Asked::read("tools/call", &answer("{}")), Ok(None)));
    }
}
