// Runs an ONNX file in onnxruntime-web on some images, and prints its outputs as JSON.
// Arguments: the file, a file of the images' bytes, and their shape as "B,H,W,3".
const fs = require("fs");
const ort = require("onnxruntime-web");

async function main([model, images, shape]) {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(new Uint8Array(fs.readFileSync(model)));
  const bytes = new Uint8Array(fs.readFileSync(images));
  const tensor = new ort.Tensor("uint8", bytes, shape.split(",").map(Number));
  const results = await session.run({ images: tensor });
  const outputs = session.outputNames.map((name) => [
    name,
    { shape: results[name].dims, values: Array.from(results[name].data, Number) },
  ]);
  console.log(JSON.stringify(Object.fromEntries(outputs)));
}

main(process.argv.slice(2));
