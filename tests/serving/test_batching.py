"""Requests that come together run together, and each gets its own result."""

import asyncio
import threading

import numpy as np
import pytest
from serving_models import Fixed, encoded, picture

from kzoo.inference.detect import detect
from kzoo.serving.batching import Batcher
from kzoo.serving.running import Runner


def together(model, images, **settings):
    """The results of groups of images that come at once, and the sizes of the batches they were run in."""

    async def run():
        batcher = Batcher(model.predict_on_batch, **{"most": 4, "wait": 200, "queue": 100, **settings})
        results = await asyncio.gather(*map(batcher.results, images))
        await batcher.close()
        return results

    return asyncio.run(run()), model.batches


def greys(*counts):
    """Groups of images, each of another grey: 1 / 255, 2 / 255, ..."""
    return [np.full((count, 64, 64, 3), grey, np.uint8) for grey, count in enumerate(counts, 1)]


def test_each_gets_its_own():
    results, batches = together(Fixed(), greys(*[1] * 10))
    assert batches == [4, 4, 2]
    for grey, result in enumerate(results, 1):
        np.testing.assert_allclose(result["scores"][0, 1], grey / 255, rtol=1e-6)


def test_images_of_one_request_stay_together():
    results, batches = together(Fixed(), greys(3, 2, 1, 4))
    assert batches == [3, 3, 4] and [len(one["scores"]) for one in results] == [3, 2, 1, 4]


def test_a_batch_that_is_full_does_not_wait():
    async def run():
        batcher = Batcher(Fixed().predict_on_batch, most=2, wait=60_000, queue=10)
        async with asyncio.timeout(5):
            await asyncio.gather(*map(batcher.results, greys(1, 1)))
        await batcher.close()

    asyncio.run(run())


def test_without_others_the_wait_ends():
    _, batches = together(Fixed(), greys(1), wait=10)
    assert batches == [1]


def test_what_nobody_waits_for_is_left_out():
    model = Fixed(seconds=0.1)

    async def run():
        batcher = Batcher(model.predict_on_batch, most=1, wait=0, queue=10)
        tasks = [asyncio.create_task(batcher.results(images)) for images in greys(1, 1, 1)]
        await asyncio.sleep(0.03)
        tasks[1].cancel()
        await asyncio.gather(tasks[0], tasks[2])
        await batcher.close()

    asyncio.run(run())
    assert model.batches == [1, 1]


def test_an_error_of_the_model_is_everybodys_and_the_next_batch_runs():
    class Broken(Fixed):
        def predict_on_batch(self, images):
            results = super().predict_on_batch(images)
            if len(self.batches) == 1:
                raise RuntimeError("broken")
            return results

    async def run():
        batcher = Batcher(Broken().predict_on_batch, most=2, wait=200, queue=10)
        first = await asyncio.gather(*map(batcher.results, greys(1, 1)), return_exceptions=True)
        second = await batcher.results(greys(1)[0])
        await batcher.close()
        return first, second

    first, second = asyncio.run(run())
    assert [str(one) for one in first] == ["broken"] * 2 and len(second["scores"]) == 1


def test_a_close_finishes_what_waits():
    model = Fixed(seconds=0.05)

    async def run():
        batcher = Batcher(model.predict_on_batch, most=1, wait=0, queue=10)
        tasks = [asyncio.create_task(batcher.results(images)) for images in greys(1, 1, 1)]
        await asyncio.sleep(0.01)
        await batcher.close()
        return await asyncio.gather(*tasks)

    assert len(asyncio.run(run())) == 3


def test_many_clients_at_once(client_of):
    model = Fixed(seconds=0.02)
    client = client_of({"things": model}, wait=20, batch_size=8)
    images = [picture(60, 80, grey) for grey in range(40, 56)]
    answers = [None] * len(images)

    def send(place):
        answers[place] = client.post("/v1/models/things/detect", content=encoded(images[place])).json()

    threads = [threading.Thread(target=send, args=(place,)) for place in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for image, answer in zip(images, answers, strict=True):
        wanted = [row["score"] for row in detect(Fixed(), image, score_threshold=0.25).to_dict()["objects"]]
        assert [row["prob"] for row in answer] == wanted
    assert max(model.batches[-8:]) > 1


@pytest.mark.parametrize("count, sizes", [(1, [1]), (3, [4]), (5, [4, 1]), (8, [4, 4])])
def test_models_of_keras_get_few_sizes(count, sizes):
    model = Fixed()
    model.network = None  # as models have it
    results = Runner(model, 4).run(np.zeros((count, 64, 64, 3), np.uint8))
    assert model.batches == sizes and len(results["scores"]) == count
