// Sound to features: log-mel spectra and MFCC, the same numbers as Python computes for training.
//
//     const auto spectrum = edgemeta::Spectrum::of(runner);  // as the bundle was trained
//     edgemeta::Tensor features = spectrum->compute({clip, {16000}});

#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "edgemeta/runner.hpp"

namespace [[gnu::visibility("default")]] edgemeta {

/// How training turned clips into features.
struct SpectrumRecord {
  bool mfcc = true;                   ///< or else log-mel
  std::int64_t sample_rate = 16'000;  ///< of the clips, in Hz
  double seconds = 1;                 ///< length of the clips
  std::int64_t window_ms = 40;        ///< length of a frame
  std::int64_t hop_ms = 20;           ///< from one frame to the next
  std::int64_t mels = 40;             ///< filters
  std::int64_t coefficients = 10;     ///< MFCC that are kept; ignored for log-mel
};

/// How a clip becomes features: frames under a periodic Hann window, zeros up to the next power of
/// two, power spectrum, triangular filters evenly spaced on HTK's mel scale, logarithm; for MFCC
/// the orthonormal DCT-II of that. The formulas stand in `edgemeta/data/_mfcc.py`.
///
/// It never changes: copies are cheap, and several threads may use one.
class Spectrum {
 public:
  /// Throws Error (input): no frame fits into a clip, there are more coefficients than filters, or
  /// it would need too much memory.
  explicit Spectrum(const SpectrumRecord& record);

  /// What a bundle was trained on; nothing for one of something else. Throws Error (bundle): its
  /// training record asks for features that are not computed here.
  static std::optional<Spectrum> of(const Runner& runner);

  const SpectrumRecord& record() const;

  /// Samples of a clip.
  std::int64_t length() const;

  /// (frames, coefficients) or (frames, mels).
  Shape shape() const;

  /// The features (1, *shape) float32 of a clip (n,) float32 with full scale 1, ready to predict.
  /// A shorter clip is filled with silence, a longer one is cut. Throws Error (input): it is
  /// another array, or not finite.
  Tensor compute(const View& clip) const;

 private:
  struct Plan;

  std::shared_ptr<const Plan> plan_;
};

}  // namespace edgemeta
