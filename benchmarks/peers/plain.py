"""The usual home-made endpoint: a FastAPI route that calls the model for each request, in the thread pool."""

import uvicorn
from fastapi import FastAPI
from model import Model
from pydantic import BaseModel

app = FastAPI()
model = Model()


class Review(BaseModel):
    text: str


@app.post("/predict")
def predict(review: Review) -> dict[str, float]:
    return {"positive": model([review.text])[0]}


if __name__ == "__main__":
    import os

    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
