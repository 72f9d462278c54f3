//! The request that a profile describes: address, body, what proves who we are, and its signature.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::Settings;
use super::bundle::Kind;
use super::profile::{Auth, CallbackAuth, Exchange, Field, Method, Over, Shape, Signing};
use super::sign;
use super::template::{Place, Template};
use crate::integrations::http::Request;

/// Why there is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Impossible {
    /// This setting is missing or cannot be used.
    Setting(&'static str),
    /// The order has nothing for this place.
    Order(Place),
}

/// What fills the places of an order: its own values.
pub(super) type Values<'a> = dyn Fn(Place) -> Option<Value> + Sync + 'a;

/// A request being made.
pub(super) struct Writer<'a> {
    pub(super) settings: &'a Settings,
    pub(super) values: &'a Values<'a>,
}

impl Writer<'_> {
    /// The request at this base address.
    pub(super) fn request(&self, base: &Url, exchange: &Exchange, now: Timestamp) -> Result<Request, Impossible> {
        let url = self.url(base, exchange)?;
        let body = match exchange.method {
            Method::Get => None,
            Method::Post => Some(self.body(exchange)?),
        };
        let method = if body.is_some() { reqwest::Method::POST } else { reqwest::Method::GET };
        let mut request = Request::new(method, url);
        for auth in &self.settings.profile.auth {
            let shown = match auth {
                Auth::Header { name, value } => Some((name.0.clone(), self.text(value)?)),
                Auth::Basic { username, password } => {
                    let both = format!("{}:{}", self.text(username)?, self.text(password)?);
                    Some((AUTHORIZATION, format!("Basic {}", STANDARD.encode(both))))
                }
                Auth::Query { .. } | Auth::Body { .. } => None,
            };
            if let Some((name, text)) = shown {
                request = request.with_header(name, &text).map_err(|_| Impossible::Setting("AT_ISHARE_API_KEY"))?;
            }
        }
        if let Some(header) = &exchange.idempotency_header {
            let reference = self.fill(Place::Reference)?;
            let unfit = |_| Impossible::Order(Place::Reference);
            request = request.with_header(header.0.clone(), &reference).map_err(unfit)?;
        }
        if let Some(signing) = &self.settings.profile.signing {
            let body = body.as_ref().map(|(_, text)| text.as_str()).unwrap_or_default();
            request = self.signed(request, signing, body, now)?;
        }
        Ok(match body {
            Some((content_type, text)) => request.with_body(content_type, text),
            None => request,
        })
    }

    fn url(&self, base: &Url, exchange: &Exchange) -> Result<Url, Impossible> {
        let path = exchange.path.fill(|place| self.value(place).map(Cow::Owned), percent).map_err(Impossible::Order)?;
        let (path, query) = path.split_once('?').map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
        let mut url = base.clone();
        url.set_path(&format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/')));
        url.set_query(query);
        for auth in &self.settings.profile.auth {
            if let Auth::Query { name, value } = auth {
                url.query_pairs_mut().append_pair(name, &self.text(value)?);
            }
        }
        Ok(url)
    }

    /// The body, with its type.
    fn body(&self, exchange: &Exchange) -> Result<(&'static str, String), Impossible> {
        let mut fields = Map::new();
        for (name, field) in &exchange.fields {
            if let Some(value) = self.field(field)? {
                fields.insert(name.clone(), value);
            }
        }
        for auth in &self.settings.profile.auth {
            if let Auth::Body { name, value } = auth {
                fields.insert(name.clone(), self.text(value)?.into());
            }
        }
        Ok(match exchange.encoding {
            Shape::Json => ("application/json", Value::Object(fields).to_string()),
            Shape::Form => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in &fields {
                    form.append_pair(name, &plain(value));
                }
                ("application/x-www-form-urlencoded", form.finish())
            }
        })
    }

    /// A field's value; nothing where it is left out, which is the callback's address where there is none.
    fn field(&self, field: &Field) -> Result<Option<Value>, Impossible> {
        let value = match field {
            Field::Literal(value) => value.clone(),
            Field::List(fields) => {
                let values: Result<Vec<_>, _> = fields.iter().map(|field| self.field(field)).collect();
                Value::Array(values?.into_iter().flatten().collect())
            }
            Field::Object(fields) => {
                let mut object = Map::new();
                for (name, field) in fields {
                    if let Some(value) = self.field(field)? {
                        object.insert(name.clone(), value);
                    }
                }
                Value::Object(object)
            }
            Field::Text(text) => match text.only() {
                Some(Place::CallbackUrl) => return Ok(self.settings.callback().map(Into::into)),
                Some(place @ (Place::AmountMinor | Place::Package | Place::Network)) => {
                    (self.values)(place).ok_or(Impossible::Order(place))?
                }
                Some(Place::Volume) if self.settings.profile.volume.kind == Kind::Number => {
                    let number = self.fill(Place::Volume)?;
                    Value::Number(number.parse().map_err(|_| Impossible::Order(Place::Volume))?)
                }
                _ => self.text(text)?.into(),
            },
        };
        Ok(Some(value))
    }

    fn signed(&self, request: Request, signing: &Signing, body: &str, now: Timestamp) -> Result<Request, Impossible> {
        const SECRET: Impossible = Impossible::Setting("AT_ISHARE_API_SECRET");
        let secret = self.settings.api_secret.as_ref().ok_or(SECRET)?.expose_secret().as_bytes();
        let time = now.as_second().to_string();
        let signature = match signing.over {
            Over::Body => sign::sign(signing.alg, secret, &[body.as_bytes()]),
            Over::TimeAndBody => sign::sign(signing.alg, secret, &[time.as_bytes(), b".", body.as_bytes()]),
            Over::Fields => {
                let fields: Result<Vec<_>, _> = signing.fields.iter().map(|field| self.text(field)).collect();
                sign::sign(signing.alg, secret, &[fields?.join(&signing.separator).as_bytes()])
            }
        };
        let signature = sign::encode(signing.encode, &signature.ok_or(SECRET)?);
        let request = request.with_header(signing.header.0.clone(), &format!("{}{signature}", signing.prefix));
        let request = request.map_err(|_| SECRET)?;
        match &signing.ts_header {
            Some(header) => request.with_header(header.0.clone(), &time).map_err(|_| SECRET),
            None => Ok(request),
        }
    }

    fn text(&self, template: &Template) -> Result<String, Impossible> {
        template.fill(|place| self.value(place).map(Cow::Owned), str::to_owned).map_err(|place| match place {
            Place::ApiKey => Impossible::Setting("AT_ISHARE_API_KEY"),
            Place::ApiSecret => Impossible::Setting("AT_ISHARE_API_SECRET"),
            Place::CallbackUrl => Impossible::Setting("AT_ISHARE_CALLBACK_URL"),
            place => Impossible::Order(place),
        })
    }

    fn fill(&self, place: Place) -> Result<String, Impossible> {
        self.value(place).ok_or(Impossible::Order(place))
    }

    fn value(&self, place: Place) -> Option<String> {
        let secret = |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        match place {
            Place::ApiKey => secret(&self.settings.api_key),
            Place::ApiSecret => secret(&self.settings.api_secret),
            Place::CallbackUrl => self.settings.callback(),
            Place::Volume => {
                let number = (self.values)(place)?;
                Some(format!("{}{}", plain(&number), self.settings.profile.volume.suffix))
            }
            place => (self.values)(place).map(|value| plain(&value)),
        }
    }
}

impl Settings {
    /// Where the supplier calls back, with its token where that is the proof; nothing where no address is set.
    fn callback(&self) -> Option<String> {
        let mut url = self.callback_url.as_ref()?.url().clone();
        let is_token = self.profile.callback.as_ref().is_some_and(|callback| callback.auth == CallbackAuth::UrlToken);
        if is_token {
            url.query_pairs_mut().append_pair("token", self.api_secret.as_ref()?.expose_secret());
        }
        Some(url.into())
    }
}

/// A text as it is, anything else as JSON writes it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What is filled into an address: nothing of it may end a part of the address.
fn percent(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
