#pragma once

#include "finer/core/fields.h"
#include "finer/eval/config.h"

namespace finer {

/// Names become parts of file names: letters, digits, "." "_" and single "-".
inline bool is_plain_name(const std::string& text) {
  if (text.empty() || text.size() > 64 || text[0] == '.' || text[0] == '-' || text.back() == '-')
    return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_word && c != '.' && c != '_' && c != '-') return false;
    if (c == '-' && text[i - 1] == '-') return false;
  }
  return true;
}

inline Rule plain_name() {
  return matches(
      "letters, digits, \".\", \"_\" and single \"-\", at most 64 and beginning with a letter, a "
      "digit or \"_\"",
      is_plain_name);
}

inline void describe(FieldVisitor& v, EvalModelConfig& c) {
  v.field("name", c.name, "in tables and file names", required(), plain_name());
  v.field("llava", c.base.llava, "llava-hf or original LLaVA directory");
  v.field("language", c.base.language, "Vicuna or LLaMA directory, instead of llava");
  v.field("vision", c.base.vision,
          "CLIP directory, beside language or an original LLaVA directory");
  v.field("projector", c.base.projector, "mm_projector.bin or safetensors");
  v.field("tokenizer", c.base.tokenizer, "directory or file; empty: the model's own");
  v.field("dtype", c.base.dtype, "that it computes in", one_of("float32", "bfloat16", "float16"));
  v.field("adapter", c.adapter,
          "PEFT directory, finished run or checkpoint; empty: the base alone");
  v.field("prompts", c.prompts, "names of the prompts it is asked; empty: all", distinct());
}

inline void describe(FieldVisitor& v, EvalSetConfig& c) {
  v.field("name", c.name, "in tables and file names", required(), plain_name());
  v.field("records", c.records, "unified records, JSONL", required(), not_empty());
  v.field("images", c.images,
          "folder that the records' img_path is relative to; empty: the file's own");
  v.field("attributes", c.attributes, "files of concept attributes, for probes and the report");
}

inline void describe(FieldVisitor& v, EvalTurnConfig& c) {
  v.field("ask", c.ask, "what the model is to answer", required(),
          one_of("superordinate", "coarse", "attributes", "fine"));
  v.field("wording", c.wording,
          "the question; {superordinate} {coarse} {attributes} stand for the model's own earlier "
          "answers, or for gold labels where nothing earlier asked for them",
          required(), not_empty());
  v.field("keep_after", c.keep_after,
          "later questions repeat what follows this text in the answer, \" with \" for example; "
          "empty, or not in the answer: all of it");
}

inline void describe(FieldVisitor& v, EvalExampleConfig& c) {
  v.field("level", c.level, "questions of this level show it", required(),
          one_of("high_coarse", "coarse", "fine"));
  v.field("question", c.question, "of the worked case", required(), not_empty());
  v.field("answer", c.answer, "reasoning, then \"Answer: NAME\"", required(), not_empty());
}

inline void describe(FieldVisitor& v, EvalPromptConfig& c) {
  v.field("name", c.name, "in tables and file names", required(), plain_name());
  v.field("kind", c.kind,
          "direct: the question alone; cot: with a request to reason first; cot_few: after worked "
          "examples; attr_seek: attributes in one turn, the name in the next; turns: as written "
          "below",
          one_of("direct", "cot", "cot_few", "attr_seek", "turns"));
  v.field("coarser", c.coarser,
          "the label one level up that a question names: gold, or what the model answered to that "
          "level's question",
          one_of("gold", "predicted"));
  v.field("superordinate", c.superordinate,
          "wording of the question at level high_coarse; empty: the program's own");
  v.field("coarse", c.coarse, "wording at level coarse; {superordinate} is the label one level up");
  v.field("fine", c.fine,
          "wording at level fine; {coarse} is the label one level up, {attributes} the answer to "
          "attr_seek's first turn");
  v.field("attributes", c.attributes,
          "attr_seek: wording of the first turn; {coarser} is the label one level up");
  v.field("examples", c.examples, "cot_few: worked cases, shown as text before the question");
  v.field("turns", c.turns, "turns: the rounds of one conversation; each level asked is scored");
  v.field("max_new_tokens", c.max_new_tokens, "an answer; 0: generate.max_new_tokens",
          between(0, 65536));
}

inline void describe(FieldVisitor& v, EvalSubsetConfig& c) {
  v.field("limit", c.limit, "records a set, drawn by the seed; 0: all", between(0, 1e12));
  v.field("seed", c.seed, "which records; more of them with the same seed keep the earlier ones");
}

inline void describe(FieldVisitor& v, EvalGenerateConfig& c) {
  v.field("max_new_tokens", c.max_new_tokens, "longest answer of a turn", between(1, 65536));
  v.field("batch", c.batch, "conversations under way at a time; changes no greedy answer",
          between(1, 4096));
  v.field("cache_tokens", c.cache_tokens,
          "keys and values kept, in tokens; 0: chosen from free memory", between(0, 1e12));
  v.field("temperature", c.temperature, "0: greedy", between(0, 100));
  v.field("top_p", c.top_p, "share of the probability that is drawn from", above(0), at_most(1));
  v.field("seed", c.seed, "of the draws; each depends on its record and turn alone");
  v.field("reuses_prefixes", c.reuses_prefixes,
          "what questions about a picture share is computed once");
}

inline void describe(FieldVisitor& v, EvalCompareConfig& c) {
  v.field("model", c.model, "a model's name", required(), not_empty());
  v.field("prompt", c.prompt, "a prompt's name", required(), not_empty());
  v.field("other_model", c.other_model, "whose score is taken off", required(), not_empty());
  v.field("other_prompt", c.other_prompt, "by this prompt", required(), not_empty());
}

inline void describe(FieldVisitor& v, EvalScoringConfig& c) {
  v.field("closed_set", c.closed_set,
          "the likelihood of every class name of the set, beside free text (the last turn's)");
  v.field("draw_by", c.draw_by,
          "what the bootstrap draws: whole classes, whose records are right or wrong together, or "
          "single records",
          one_of("class", "sample"));
  v.field("resamples", c.resamples, "of the bootstrap behind the 95% intervals",
          between(1, 1000000));
  v.field("seed", c.seed, "of the bootstrap");
  v.field("gallery", c.gallery, "pictures with questions and answers in report.html");
}

inline void describe(FieldVisitor& v, EvalRunConfig& c) {
  v.field("name", c.name, "in the chart", required(), not_empty());
  v.field("run", c.run, "folder of a training run", required(), not_empty());
}

inline void describe(FieldVisitor& v, EvalReportConfig& c) {
  v.field("title", c.title, "headline; empty: the output folder's name");
  v.field("lead", c.lead, "what is shown here, in a sentence or two; empty: a count");
  v.field("runs", c.runs, "training runs whose loss is drawn, at most 8");
  v.field("caveats", c.caveats, "what a reader must know, a sentence each");
}

inline void describe(FieldVisitor& v, EvalKnowledgeConfig& c) {
  v.field("wording", c.wording,
          "question without a picture; {superordinate} {coarse} {attributes} are gold");
}

inline void describe(FieldVisitor& v, EvalAttributesConfig& c) {
  v.field("image_wording", c.image_wording,
          "question about the picture; {superordinate} {coarse} are gold");
  v.field("name_wording", c.name_wording, "question without a picture; {fine} is the concept");
}

inline void describe(FieldVisitor& v, EvalLinearConfig& c) {
  v.field("taps", c.taps,
          "where features are taken: vision:N (a hidden state, as vision_feature_layer counts), "
          "projector, language:K (behind K decoder layers)",
          not_empty(), distinct());
  v.field("fit_records", c.fit_records, "unified records that the head learns from", required(),
          not_empty());
  v.field("test_records", c.test_records, "unified records that it is measured on", required(),
          not_empty());
  v.field("images", c.images, "folder of the pictures; empty: each file's own");
  v.field("level", c.level, "label that is told", one_of("high_coarse", "coarse", "fine"));
  v.field("pool", c.pool, "mean over positions, or all of them flat", one_of("mean", "flat"));
  v.field("head", c.head, "what learns", one_of("linear", "mlp"));
  v.field("hidden", c.hidden, "inner size of the MLP", between(1, 65536));
  v.field("epochs", c.epochs, "over fit_records", between(1, 100000));
  v.field("batch", c.batch, "records a step", between(1, 65536));
  v.field("lr", c.lr, "of AdamW", above(0), at_most(100));
  v.field("weight_decay", c.weight_decay, "of AdamW", at_least(0), at_most(100));
  v.field("seed", c.seed, "of the head and the order");
}

inline void describe(FieldVisitor& v, EvalProbesConfig& c) {
  v.optional_field("knowledge", c.knowledge, c.has_knowledge,
                   "text only: gold attributes and taxonomy to the name");
  v.optional_field("attributes", c.attributes, c.has_attributes,
                   "attributes from the picture and from the name, held against the concept's");
  v.field("linear", c.linear, "a head on frozen features");
}

inline void describe(FieldVisitor& v, TrainEvalConfig& c) {
  v.field("every_steps", c.every_steps, "optimizer steps between evaluations; also at the end",
          between(1, 1e12));
  v.field("loss_data", c.loss_data, "held-out conversations whose loss is taken; empty: none");
  v.field("loss_images", c.loss_images, "folder of their pictures; empty: the file's own");
  v.field("records", c.records, "held-out unified records that are asked and scored; empty: none");
  v.field("images", c.images, "folder of their pictures; empty: the file's own");
  v.field("attributes", c.attributes, "files of their concept attributes");
  v.field("levels", c.levels, "that are scored: high_coarse, coarse, fine", not_empty(), distinct(),
          one_of("high_coarse", "coarse", "fine"));
  v.field("prompts", c.prompts, "how they are asked; empty: the direct question");
  v.field("limit", c.limit, "records, and conversations of loss_data, drawn by the seed; 0: all",
          between(0, 1e12));
  v.field("seed", c.seed, "which records: the same ones each time");
  v.field("max_new_tokens", c.max_new_tokens, "longest answer of a turn", between(1, 65536));
  v.field("batch", c.batch, "conversations under way at a time", between(1, 4096));
  v.field("best_by", c.best_by,
          "metric that names the best step: loss, or em.LEVEL, f1.LEVEL (of several prompts: "
          "em.PROMPT.LEVEL); empty: loss where there is one, else the first em");
  v.field("patience", c.patience,
          "evaluations in a row without a better best_by that end the run; 0: never",
          between(0, 1e9));
}

}  // namespace finer
