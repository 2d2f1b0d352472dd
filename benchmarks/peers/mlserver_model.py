"""MLServer with a custom runtime and adaptive batching, as its documentation has it."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from model import Model


class Sentiment(MLModel):
    async def load(self) -> bool:
        self.model = Model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        texts = StringCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("positive", np.array(self.model(texts), dtype=np.float32).reshape(-1, 1))
        return InferenceResponse(model_name=self.name, outputs=[output])
