//! Parts of a message that the gateway need not rewrite pass byte for byte: unknown members, numbers of any size,
//! order, spacing.
//!
//! Compares bytes as recorded by a fake upstream with bytes as read by a raw client, over every transport and face. `~`
//! stands for white space: a blank in one round, a line break in the other. Framings that end at a line break get a
//! blank instead; besides ids and progress tokens, no other change is allowed.

mod door;
mod filter;
mod tasks;

use harness::fake::{Fake, Script, Via, fake};
use harness::raw::{Face, Session, session};
use harness::wait::Gate;
use harness::{Envelope, InProcess, gateway};

const WHITE: [&str; 2] = [" ", "\n\t"];

/// Id and progress token of the client, with escapes that a re-serialization would not keep.
const ID: &str = r#""r\u002d\/1""#;
const TOKEN: &str = r#""t\u002d1""#;

const REQUEST: &str = r#"~{~"params":{"zeta":123456789012345678901234567890,"name":"odd",~"_meta":{"com.example/trace":"\u00e9\/é","progressToken"~:~TOKEN,"n":1E400},"arguments":{"b":1.10,"a":[~]}},"x-extra":null,"method":"tools\/call","id"~:~ID,"jsonrpc":"2.0"~}~"#;
const RESULT: &str = r#"~{"result":{"structuredContent":{"n":123456789012345678901234567890,"f":1.0},~"content":[~],"_meta":{"com.example/x":[1~,~2]}},"x-extra":{"k":[]},"id"~:~ID,"jsonrpc":"2.0"}~"#;
const ERROR: &str = r#"{"error":{"data":{"n":1e-7,"big":123456789012345678901234567890},~"message":"\u006fdd","code":-31999,"extra":[]},"id"~:~ID,"jsonrpc":"2.0","x":{"a":1,"A":2}}"#;
const PROGRESS: &str = r#"{"method":"notifications\/progress","params":{"vendor":{"k":1.0},~"progress":0.50,"progressToken"~:~TOKEN,"message":"m"},"jsonrpc":"2.0"}"#;
const LOG: &str = r#"{"params":{"data":{"n":123456789012345678901234567890}~,"level":"info","logger":"l\u006f","x":1.0},"method":"notifications/message","jsonrpc":"2.0"}"#;
const LIST_CHANGED: &str =
    r#"{"x":1.0,~"params":{"_meta":{"v/x":[]}},"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
const UPDATED: &str =
    r#"{"params":{"x":1.0,~"uri":"test:\/\/a"},"jsonrpc":"2.0","method":"notifications/resources/updated"}"#;
const UNKNOWN: &str = r#"{~"params":{"z":1.0,"a":[~{}],"_meta":{"v/x":1e2}},"x-extra":"\u0041","method":"notifications/vendor","jsonrpc":"2.0"}"#;
const QUESTION: &str = r#"{"x-extra":[],~"params":{"z":1.0,"a":123456789012345678901234567890},"method":"METHOD","id"~:~ID,"jsonrpc":"2.0"}"#;
const QUESTION_ID: &str = r#""q\u002d1""#;

#[tokio::test]
async fn requests_and_results_pass_byte_for_byte() {
    everywhere(async |to: &Place<'_>| answered_with(to, RESULT).await).await;
}

#[tokio::test]
async fn errors_pass_byte_for_byte() {
    everywhere(async |to: &Place<'_>| answered_with(to, ERROR).await).await;
}

async fn answered_with(to: &Place<'_>, answer: &'static str) {
    let reply = to.spoken(answer);
    let script = to.fake().tool("odd", move |call| {
        let reply = reply.replace("ID", &call.id);
        async move { call.send(reply) }
    });
    let Pair { upstream, mut client } = to.connect(script).await;
    client.begin(to.written(REQUEST).replace("ID", ID).replace("TOKEN", TOKEN));
    let arrived = upstream.nth("tools/call", 0).await;
    let number = arrived.id();
    assert!(number.parse::<u64>().is_ok(), "an id of the gateway's own");
    let expected = to.written(REQUEST).replace("ID", &number).replace("TOKEN", &number);
    assert_eq!(arrived.text(), if to.via == Via::Stdio { one_line(&expected) } else { expected });
    let expected = to.spoken(answer).replace("ID", ID);
    let expected = if to.face == Face::Sse { one_line(&expected) } else { expected };
    assert_eq!(client.answer(ID).await, expected);
}

#[tokio::test]
async fn what_an_upstream_tells_during_a_call_passes_byte_for_byte() {
    everywhere(async |to: &Place<'_>| {
        let done = Gate::default();
        let (told, until) = ([PROGRESS, LOG, UNKNOWN].map(|message| to.spoken(message)), done.clone());
        let script = to.fake().tool("odd", move |call| {
            let (told, until) = (told.clone().map(|message| message.replace("TOKEN", &call.id)), until.clone());
            async move {
                told.into_iter().for_each(|message| call.send(message));
                until.opened().await;
                call.reply("{}");
            }
        });
        let Pair { upstream: _upstream, mut client } = to.connect(script).await;
        client.begin(to.written(REQUEST).replace("ID", ID).replace("TOKEN", TOKEN));
        for (message, part) in [(PROGRESS, "0.50"), (LOG, "logger"), (UNKNOWN, "notifications/vendor")] {
            assert_eq!(client.next(part).await, one_line(&to.spoken(message)).replace("TOKEN", TOKEN));
        }
        done.open();
        client.answer(ID).await;
    })
    .await;
}

#[tokio::test]
async fn what_an_upstream_tells_outside_any_call_passes_byte_for_byte() {
    everywhere(async |to: &Place<'_>| {
        let Pair { upstream, mut client } = to.connect(to.fake()).await;
        client.listen().await;
        let subscribe = r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"test://a"}}"#;
        client.request(subscribe).await;
        let told = [(LIST_CHANGED, "list_changed"), (UPDATED, "updated"), (LOG, "logger"), (UNKNOWN, "vendor")];
        for (message, part) in told {
            upstream.peer(1).await.send(to.spoken(message));
            assert_eq!(client.next(part).await, one_line(&to.spoken(message)));
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_client_tells_passes_byte_for_byte() {
    everywhere(async |to: &Place<'_>| {
        let Pair { upstream, client } = to.connect(to.fake()).await;
        client.tell(to.written(UNKNOWN)).await;
        let expected = to.written(UNKNOWN);
        let expected = if to.via == Via::Stdio { one_line(&expected) } else { expected };
        assert_eq!(upstream.nth("notifications/vendor", 0).await.text(), expected);
    })
    .await;
}

#[tokio::test]
async fn questions_and_their_answers_pass_byte_for_byte() {
    everywhere(async |to: &Place<'_>| {
        let asked = to.spoken(QUESTION).replace("METHOD", "elicitation/create").replace("ID", QUESTION_ID);
        let script = to.fake().tool("odd", move |call| {
            let asked = asked.clone();
            async move {
                call.ask(&asked).await;
                call.reply("{}");
            }
        });
        let Pair { upstream, mut client } = to.connect(script).await;
        client.begin(to.written(REQUEST).replace("ID", ID).replace("TOKEN", TOKEN));
        question_is_carried(to, &upstream, &mut client, ("elicitation/create", RESULT)).await;
        client.answer(ID).await;
    })
    .await;
}

#[tokio::test]
async fn questions_outside_any_call_pass_byte_for_byte() {
    everywhere(async |to: &Place<'_>| {
        let Pair { upstream, mut client } = to.connect(to.fake()).await;
        client.listen().await;
        for (method, answer) in [("roots/list", RESULT), ("vendor/ask", ERROR)] {
            let asked = to.spoken(QUESTION).replace("METHOD", method).replace("ID", QUESTION_ID);
            upstream.peer(1).await.send(asked);
            question_is_carried(to, &upstream, &mut client, (method, answer)).await;
        }
    })
    .await;
}

/// Reads a server request at the client, answers it, and reads the response at the upstream.
async fn question_is_carried(to: &Place<'_>, upstream: &Fake, client: &mut Session, (method, answer): (&str, &str)) {
    let before = upstream.count("response");
    let asked = client.next(method).await;
    let serial = Envelope::read(asked.as_bytes()).id;
    let expected = one_line(&to.spoken(QUESTION)).replace("METHOD", method).replace("ID", &serial);
    assert_eq!(asked, expected);
    client.tell(to.written(answer).replace("ID", &serial)).await;
    let expected = to.written(answer).replace("ID", QUESTION_ID);
    let expected = if to.via == Via::Stdio { one_line(&expected) } else { expected };
    assert_eq!(upstream.nth("response", before).await.text(), expected);
}

#[tokio::test]
async fn both_sides_introduce_themselves_with_everything_they_said() {
    const HELLO: &str = r#"{~"x":1.0,"clientInfo":{"version":"1","name":"odd","icons":[]},"capabilities":{"vendor":{"n":1e400},"sampling":{~}},"protocolVersion":"2025-06-18"}"#;
    const WELCOME: &str = r#"{"serverInfo":{"name":"odd","z":123456789012345678901234567890},~"capabilities":{"experimental":{"a/b":{}}},"instructions":"\u0041","protocolVersion":"2025-06-18"}"#;
    everywhere(async |to: &Place<'_>| {
        let welcome = to.spoken(WELCOME);
        let script = to.fake().on("initialize", move |call| {
            let welcome = welcome.clone();
            async move { call.reply(&welcome) }
        });
        let upstream = to.start(script).await;
        let opening = session(&to.gateway.url, &to.name).over(to.face).hello(&to.written(HELLO));
        let client = opening.open().await;
        let expected = to.written(HELLO);
        let expected = if to.via == Via::Stdio { one_line(&expected) } else { expected };
        assert_eq!(upstream.nth("initialize", 1).await.envelope.params, expected);
        let welcome = to.spoken(WELCOME);
        let welcome = if to.face == Face::Sse { one_line(&welcome) } else { welcome };
        assert_eq!(client.handshake, format!(r#"{{"jsonrpc":"2.0","id":"hello","result":{welcome}}}"#));
    })
    .await;
}

/// Combination of transport, face and white space, with its own upstream.
struct Place<'a> {
    gateway: &'a InProcess,
    name: String,
    via: Via,
    face: Face,
    white: &'static str,
}

struct Pair {
    upstream: Fake,
    client: Session,
}

async fn everywhere(check: impl AsyncFn(&Place<'_>)) {
    let gateway = gateway().start().await;
    for via in Via::ALL {
        for face in Face::ALL {
            for white in WHITE {
                let name = format!("{via:?}-{face:?}-{}", white.len());
                println!("{name}");
                check(&Place { gateway: &gateway, name, via, face, white }).await;
            }
        }
    }
}

impl Place<'_> {
    fn fake(&self) -> Script {
        fake(&self.name)
    }

    /// Returns a message as the client writes it.
    fn written(&self, message: &str) -> String {
        message.replace('~', self.white)
    }

    /// Returns a message as the upstream writes it; over stdio it must be a single line.
    fn spoken(&self, message: &str) -> String {
        let text = message.replace('~', self.white);
        if self.via == Via::Stdio { one_line(&text) } else { text }
    }

    async fn start(&self, script: Script) -> Fake {
        let upstream = script.start(self.via).await;
        self.gateway.admin.connect(&upstream.definition()).await;
        upstream
    }

    /// Connects a client that can be asked something, and so has its own upstream session.
    async fn connect(&self, script: Script) -> Pair {
        let upstream = self.start(script).await;
        let opening = session(&self.gateway.url, &self.name).over(self.face);
        Pair { upstream, client: opening.capabilities(r#"{"sampling":{}}"#).open().await }
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
