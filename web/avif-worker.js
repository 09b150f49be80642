// Makes AVIF files of a picture, apart from the page, by the module that web/avif.sh puts beside it: libavif of @jsquash/avif.
// The first message is the picture; those that follow are qualities, each answered with a file's bytes.

const GREY = 0, FULL = 3; // "subsample": 4:0:0 and 4:4:4
const OPTIONS = { // what the module's own encode.js takes for all but quality and subsample
  qualityAlpha: -1, denoiseLevel: 0, tileColsLog2: 0, tileRowsLog2: 0, speed: 6, chromaDeltaQ: false, sharpness: 0, tune: 0,
  enableSharpYUV: false, bitDepth: 8, lossless: false,
};
const module = import("./avif/avif_enc.js").then(({ default: start }) => start({ noInitialRun: true }));
module.catch(() => {}); // told with each quality
let picture = null, subsample = FULL;

function isGrey(data) {
  for (let i = 0; i < data.length; i += 4) if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  return true;
}

addEventListener("message", async ({ data: given }) => {
  if (given.data) {
    picture = given;
    subsample = isGrey(given.data) ? GREY : FULL;
    return;
  }
  try {
    const encoder = await module.catch(() => {
      throw new Error("the module that makes AVIF cannot be read");
    });
    const { data, width, height } = picture, options = { ...OPTIONS, quality: Math.round(given.quality), subsample };
    const bytes = encoder.encode(new Uint8Array(data.buffer), width, height, options);
    if (!bytes) throw new Error("no AVIF was made");
    postMessage({ bytes: bytes.slice() });
  } catch (error) {
    postMessage({ error: error.message ?? String(error) });
  }
});
