//! Typed answers of tools.

use schemas::admin::ToolCallAnswer;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Answer of a tool.
///
/// ```no_run
/// use register_service::worker::Content;
///
/// # fn run(answer: register_service::worker::ToolAnswer) {
/// for content in &answer.content {
///     match content {
///         Content::Text(text) => println!("{text}"),
///         other => println!("{other:?}"),
///     }
/// }
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ToolAnswer {
    /// All content items, in order. Other proxies send only the first one.
    pub content: Vec<Content>,
    /// The structured result, as the server sent it.
    pub structured: Option<Box<RawValue>>,
    /// True if the tool reported a failure. The content describes it, for the model to read.
    pub is_error: bool,
}

/// One content item of an answer.
///
/// ```
/// use register_service::worker::Content;
///
/// let image = Content::Image { data: "aGk=".to_owned(), mime_type: "image/png".to_owned() };
/// let media_type = match &image {
///     Content::Image { mime_type, .. } | Content::Audio { mime_type, .. } => Some(mime_type.as_str()),
///     _ => None,
/// };
/// assert_eq!((media_type, image.text()), (Some("image/png"), None));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Content {
    /// A text.
    Text(String),
    /// An image, in base64.
    Image {
        /// The data, in base64.
        data: String,
        /// Media type of the image.
        mime_type: String,
    },
    /// An audio clip, in base64.
    Audio {
        /// The data, in base64.
        data: String,
        /// Media type of the audio.
        mime_type: String,
    },
    /// Any other item, as the server sent it: resources, links to resources, unknown types.
    Other(Box<RawValue>),
}

impl ToolAnswer {
    pub(super) fn new(answer: &ToolCallAnswer) -> Self {
        let items =
            answer.content.as_deref().and_then(|raw| serde_json::from_str::<Vec<Box<RawValue>>>(raw.get()).ok());
        let content = match items {
            Some(items) => items.into_iter().map(Content::read).collect(),
            None => answer.result.clone().filter(|it| it.get() != "null").map(Content::read).into_iter().collect(),
        };
        let said = answer.error.as_deref().filter(|error| !error.is_empty());
        let mut this = Self {
            content,
            structured: answer.structured_content.clone().filter(|it| it.get() != "null"),
            is_error: answer.is_error == Some(true),
        };
        if let (true, Some(said)) = (this.content.is_empty() && this.is_error, said) {
            this.content.push(Content::Text(said.to_owned()));
        }
        this
    }

    /// Deserialises the structured result; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the result does not have this type.
    ///
    /// ```no_run
    /// # fn run(answer: register_service::worker::ToolAnswer) -> Result<(), serde_json::Error> {
    /// let sum: Option<i64> = answer.structured_as()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn structured_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.structured.as_deref().map(|raw| serde_json::from_str(raw.get())).transpose()
    }

    /// Returns the answer as text for a model: the text items, or the structured result, or all items.
    ///
    /// ```
    /// assert_eq!(register_service::worker::ToolAnswer::default().to_text(), "");
    /// ```
    pub fn to_text(&self) -> String {
        let texts: Vec<&str> = self.content.iter().filter_map(Content::text).collect();
        if texts.len() == self.content.len() && !texts.is_empty() {
            return texts.join("\n");
        }
        match &self.structured {
            Some(structured) => structured.get().to_owned(),
            None => self.content.iter().map(Content::to_text).collect::<Vec<_>>().join("\n"),
        }
    }
}

impl Content {
    fn read(raw: Box<RawValue>) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default, rename_all = "camelCase")]
        struct Item {
            r#type: String,
            text: Option<String>,
            data: Option<String>,
            mime_type: String,
        }
        // Accept a plain string, which early proxies send.
        if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
            return Self::Text(text);
        }
        let item = serde_json::from_str::<Item>(raw.get()).unwrap_or_default();
        match (item.r#type.as_str(), item.text, item.data) {
            ("text", Some(text), _) => Self::Text(text),
            ("image", _, Some(data)) => Self::Image { data, mime_type: item.mime_type },
            ("audio", _, Some(data)) => Self::Audio { data, mime_type: item.mime_type },
            _ => Self::Other(raw),
        }
    }

    /// Returns the text of a text item.
    ///
    /// ```
    /// use register_service::worker::Content;
    ///
    /// assert_eq!(Content::Text("hi".to_owned()).text(), Some("hi"));
    /// ```
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Image { .. } | Self::Audio { .. } | Self::Other(_) => None,
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Image { mime_type, .. } => format!("[image, {mime_type}]"),
            Self::Audio { mime_type, .. } => format!("[audio, {mime_type}]"),
            Self::Other(raw) => raw.get().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> ToolAnswer {
        ToolAnswer::new(&serde_json::from_str(text).expect("an answer"))
    }

    #[test]
    fn every_item_has_its_type() {
        let answer = answer(
            r#"{"result":null,"content":[{"type":"text","text":"a"},{"type":"image","data":"aGk=","mimeType":"image/png"},
            {"type":"audio","data":"x","mimeType":"audio/wav"},{"type":"resource_link","uri":"u"},{"type":"new"}],
            "structuredContent":{"n": 1}}"#,
        );
        let shown: Vec<_> = answer.content.iter().map(Content::to_text).collect();
        let link = r#"{"type":"resource_link","uri":"u"}"#;
        assert_eq!(shown, ["a", "[image, image/png]", "[audio, audio/wav]", link, r#"{"type":"new"}"#]);
        assert_eq!(answer.to_text(), r#"{"n": 1}"#);
        assert!(!answer.is_error);
    }

    #[test]
    fn a_failure_of_the_tool_is_told_to_the_model() {
        let failed =
            answer(r#"{"result":null,"error":"boom","content":[{"type":"text","text":"why"}],"isError":true}"#);
        assert!(failed.is_error);
        assert_eq!(failed.to_text(), "why");
        assert_eq!(answer(r#"{"result":null,"error":"boom","isError":true}"#).to_text(), "boom");
    }

    #[test]
    fn reads_what_other_proxies_send() {
        assert_eq!(answer(r#"{"result":{"type":"text","text":"a"}}"#).to_text(), "a");
        assert_eq!(answer(r#"{"result":"plain"}"#).to_text(), "plain");
        assert_eq!(answer(r#"{"result":{"rows":[1]}}"#).to_text(), r#"{"rows":[1]}"#);
        assert_eq!(answer(r#"{"result":null}"#).to_text(), "");
    }
}
