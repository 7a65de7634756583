//! Hidden states of a text at chosen layers, for those who look into a model or look for directions to steer it by.

use idiolect_llm::{Cancel, LlmError, Result};

use crate::{
    decoder::{Sequence, Wanted},
    model::{LoadedModel, SCORE_PRECISION},
    prefixes::PrefixRequest,
    score::ROWS,
    values::failed,
};

impl LoadedModel {
    /// What the residual stream carries after some layers, counted from 0, before any norm, as scoring computes it: for each
    /// of `layers` the states of all tokens one after another, `[tokens, hidden]`. Directions of the request that are added
    /// after a layer are in its states.
    ///
    /// # Errors
    /// No such layer, cancelled, context full, adapter, a direction that does not fit, device.
    pub fn hidden_states_of(
        &self,
        text: &PrefixRequest<'_>,
        layers: &[usize],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>> {
        if let Some(layer) = layers.iter().find(|&&l| l >= self.config().layers) {
            return Err(LlmError::Failed(format!(
                "there is no layer {layer}; the model has {}, counted from 0",
                self.config().layers
            )));
        }
        self.context_full(text.tokens.len())?;
        self.known_tokens(text.tokens)?;
        let adapters = self.adapters(text.adapters)?;
        let mut states = vec![Vec::new(); layers.len()];
        self.with_team(|| {
            let mut cache = self.decoder().cache(text.tokens.len()).map_err(failed)?;
            for tokens in text.tokens.chunks(ROWS) {
                cancel.check()?;
                let mut broken = None;
                let mut read = |layer: usize, x: &candle_core::Tensor| {
                    for (states, _) in states.iter_mut().zip(layers).filter(|(_, l)| **l == layer) {
                        match x.flatten_all().and_then(|x| x.to_vec1::<f32>()) {
                            Ok(rows) => states.extend(rows),
                            Err(error) => broken = Some(error),
                        }
                    }
                };
                let sequence = Sequence {
                    adapters: &adapters,
                    steer: text.steer,
                    wanted: Wanted::Nothing,
                    ..Sequence::new(&mut cache, tokens)
                };
                self.decoder()
                    .forward(&mut [sequence], SCORE_PRECISION, Some(&mut read))
                    .map_err(failed)?;
                if let Some(error) = broken {
                    return Err(failed(error));
                }
            }
            Ok(states)
        })
    }
}
