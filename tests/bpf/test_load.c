/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every combination of the guard's switches loads, as clang 14 and clang 19 compile it, and no program grows by more than a
 * tenth over what tests/bpf/limits.txt says. Switches are the booleans and enums in .rodata: new ones are found by themselves.
 * With --record it writes that file instead: make bpf-limits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#define LIMITS	      "tests/bpf/limits.txt"
#define MAX_PROGRAMS  8
#define MAX_FUNCTIONS 64
#define STACK_MOST    512U /* bytes */
#define MAX_SWITCHES  16
#define MAX_ROWS      64
#define TOLERANCE     10 /* per cent */

enum measure { VERIFIED, TRANSLATED, COMPILED, STACK, MEASURES };

static const char *const measures[MEASURES] = {"verified", "translated", "compiled", "stack"};

/* Instructions that the verifier walked, that the kernel made of it, that clang wrote; bytes of stack, all functions together. */
struct cost {
	uint32_t of[MEASURES];
};

struct row {
	char compiler[32];
	char program[32];
	char which
		[16]; /* shipped: the switches as in the file; largest: the most of each, whatever the switches */
	struct cost cost;
};

struct rows {
	struct row items[MAX_ROWS];
	size_t n;
	char kernel[32]; /* "6.18": what the verifier walks and makes is this one's */
};

struct toggle {
	const char *name;
	uint32_t offset;
	uint32_t size;
	uint32_t n_values;
	int64_t values[8];
};

static const char *const objects[] = {"bpf/guard.bpf.o", "clang-19/bpf/guard.bpf.o"};
#define N_OBJECTS (sizeof(objects) / sizeof(objects[0]))

static struct rows recorded;
static struct rows measured;

static struct row *row_get(struct rows *rows, const char *compiler, const char *program,
			   const char *which)
{
	for (size_t i = 0; i < rows->n; i++) {
		struct row *r = &rows->items[i];

		if (strcmp(r->compiler, compiler) == 0 && strcmp(r->program, program) == 0 &&
		    strcmp(r->which, which) == 0)
			return r;
	}
	return NULL;
}

static struct row *row_put(struct rows *rows, const char *compiler, const char *program,
			   const char *which)
{
	struct row *r = row_get(rows, compiler, program, which);

	if (r)
		return r;
	assert_true(rows->n < MAX_ROWS);
	r = &rows->items[rows->n++];
	snprintf(r->compiler, sizeof(r->compiler), "%s", compiler);
	snprintf(r->program, sizeof(r->program), "%s", program);
	snprintf(r->which, sizeof(r->which), "%s", which);
	return r;
}

/* How many measures are over the record; which ones goes to standard error. */
static int grown(const struct row *now, const struct row *limit, bool same_kernel)
{
	int n = 0;

	for (int m = 0; m < MEASURES; m++) {
		uint64_t is = now->cost.of[m], was = limit->cost.of[m];

		if ((m == VERIFIED || m == TRANSLATED) && !same_kernel)
			continue;
		if (is * 100 <= was * (100 + TOLERANCE))
			continue;
		fprintf(stderr,
			"%s, %s (%s): %s grew from %llu to %llu, by more than %d %%. If that is "
			"meant: 'make bpf-limits' and commit " LIMITS "\n",
			now->program, now->compiler, now->which, measures[m],
			(unsigned long long)was, (unsigned long long)is, TOLERANCE);
		n++;
	}
	return n;
}

static void this_kernel(char ret[32])
{
	struct utsname name;
	unsigned int major = 0, minor = 0;

	uname(&name);
	sscanf(name.release, "%u.%u", &major, &minor);
	snprintf(ret, 32, "%u.%u", major, minor);
}

/* "clang-14": the compiler leaves its name in the file. */
static void compiler_of(const char *path, char ret[32])
{
	static const char mark[] = "clang version ";
	FILE *f = fopen(path, "r");
	const char *at;
	char *bytes;
	size_t len;

	if (!f)
		fprintf(stderr, "%s: %s (make bpf-bins)\n", path, strerror(errno));
	assert_non_null(f);
	bytes = malloc(1 << 22);
	assert_non_null(bytes);
	len = fread(bytes, 1, 1 << 22, f);
	fclose(f);
	at = memmem(bytes, len, mark, sizeof(mark) - 1);
	assert_non_null(at);
	snprintf(ret, 32, "clang-%d", atoi(at + sizeof(mark) - 1));
	free(bytes);
}

/* A toggle's values; none for what is not one. */
static uint32_t values_of(const struct btf *btf, uint32_t id, int64_t values[8])
{
	const struct btf_type *t = btf__type_by_id(btf, (uint32_t)btf__resolve_type(btf, id));

	while (btf_is_mod(t) || btf_is_typedef(t))
		t = btf__type_by_id(btf, t->type);
	if (btf_is_int(t) && btf_int_encoding(t) & BTF_INT_BOOL) {
		values[0] = 0;
		values[1] = 1;
		return 2;
	}
	if (!btf_is_enum(t))
		return 0;
	assert_true(btf_vlen(t) <= 8);
	for (int i = 0; i < btf_vlen(t); i++)
		values[i] = btf_enum(t)[i].val;
	return btf_vlen(t);
}

static size_t find_toggles(const struct bpf_object *obj, struct toggle toggles[MAX_SWITCHES])
{
	const struct btf *btf = bpf_object__btf(obj);
	int id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
	const struct btf_type *section = btf__type_by_id(btf, (uint32_t)id);
	const struct btf_var_secinfo *var = btf_var_secinfos(section);
	size_t n = 0;

	assert_true(id > 0);
	for (int i = 0; i < btf_vlen(section); i++, var++) {
		const struct btf_type *t = btf__type_by_id(btf, var->type);
		struct toggle s = {
			btf__name_by_offset(btf, t->name_off), var->offset, var->size, 0, {0}};

		s.n_values = values_of(btf, t->type, s.values);
		if (s.n_values == 0)
			continue;
		assert_true(n < MAX_SWITCHES);
		toggles[n++] = s;
	}
	return n;
}

/* "stack depth 96+0+16", a number a subprogram. */
static uint32_t stack_of(const char *log)
{
	const char *at = strstr(log, "stack depth ");
	uint32_t sum = 0;

	assert_non_null(at);
	at += strlen("stack depth ");
	for (;;) {
		char *end;

		sum += (uint32_t)strtoul(at, &end, 10);
		if (*end != '+')
			return sum;
		at = end + 1;
	}
}

/* The functions of a program, and the stack that the verifier saw each use. */
struct functions {
	const struct bpf_insn *insns;
	size_t n_insns, n;
	size_t first[MAX_FUNCTIONS]; /* instruction */
	uint32_t stack[MAX_FUNCTIONS];
};

static bool is_call(const struct bpf_insn *i)
{
	return (i->code == (BPF_JMP | BPF_CALL) && i->src_reg == BPF_PSEUDO_CALL) ||
	       (i->code == (BPF_LD | BPF_IMM | BPF_DW) && i->src_reg == BPF_PSEUDO_FUNC);
}

static size_t function_at(const struct functions *f, size_t insn)
{
	size_t i = 0;

	while (i < f->n && f->first[i] != insn)
		i++;
	return i;
}

static int by_size(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void functions_read(struct functions *f, const struct bpf_program *program, const char *log)
{
	const char *at = strstr(log, "stack depth ") + strlen("stack depth ");

	*f = (struct functions){
		.insns = bpf_program__insns(program),
		.n_insns = bpf_program__insn_cnt(program),
		.n = 1,
	};
	for (size_t i = 0; i < f->n_insns; i++) {
		size_t target = i + 1 + (size_t)f->insns[i].imm;

		if (!is_call(&f->insns[i]) || function_at(f, target) < f->n)
			continue;
		assert_true(f->n < MAX_FUNCTIONS);
		f->first[f->n++] = target;
	}
	qsort(f->first, f->n, sizeof(f->first[0]), by_size);
	for (size_t i = 0; i < f->n; i++, at++) {
		f->stack[i] = (uint32_t)strtoul(at, (char **)&at, 10);
		assert_int_equal(*at == '+', i + 1 < f->n);
	}
}

/* The most that a function and all below it use at once, as Linux 6.1 adds it up: each one at least 32 bytes, and a multiple. */
static uint32_t deepest(const struct functions *f, size_t function)
{
	size_t end = function + 1 < f->n ? f->first[function + 1] : f->n_insns;
	uint32_t most = 0;

	for (size_t i = f->first[function]; i < end; i++) {
		uint32_t below;

		if (!is_call(&f->insns[i]))
			continue;
		below = deepest(f, function_at(f, i + 1 + (size_t)f->insns[i].imm));
		most = below > most ? below : most;
	}
	return most + (f->stack[function] ? (f->stack[function] + 31) / 32 * 32 : 32);
}

static struct cost cost_of(const struct bpf_program *program, const char *log)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &len), 0);
	return (struct cost){{
		[VERIFIED] = info.verified_insns,
		[TRANSLATED] = info.xlated_prog_len / 8,
		[COMPILED] = (uint32_t)bpf_program__insn_cnt(program),
		[STACK] = stack_of(log),
	}};
}

static void keep(const char *compiler, const char *program, struct cost cost, bool shipped)
{
	struct row *largest = row_put(&measured, compiler, program, "largest");

	for (int m = 0; m < MEASURES; m++)
		if (cost.of[m] > largest->cost.of[m])
			largest->cost.of[m] = cost.of[m];
	if (shipped)
		row_put(&measured, compiler, program, "shipped")->cost = cost;
}

/* The value of each toggle in the combination of this number; false when it is the file's own. */
static bool combine(struct bpf_object *obj, const struct toggle *toggles, size_t n, uint32_t number,
		    char *ret_text, size_t size)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, ".rodata");
	bool changed = false;
	const char *initial;
	size_t len;
	char *data;

	assert_non_null(map);
	initial = bpf_map__initial_value(map, &len);
	data = malloc(len);
	assert_non_null(data);
	memcpy(data, initial, len);
	*ret_text = '\0';
	for (size_t i = 0; i < n; i++) {
		const struct toggle *s = &toggles[i];
		int64_t value = s->values[number % s->n_values];
		size_t at = strlen(ret_text);

		number /= s->n_values;
		changed |= memcmp(data + s->offset, &value, s->size) != 0;
		memcpy(data + s->offset, &value, s->size);
		snprintf(ret_text + at, size - at, " %s=%lld", s->name, (long long)value);
	}
	assert_int_equal(bpf_map__set_initial_value(map, data, len), 0);
	free(data);
	return changed;
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

static uint32_t load_one(const char *path, const char *compiler, uint32_t number)
{
	static char logs[MAX_PROGRAMS][65536];
	struct bpf_object *obj = bpf_object__open(path);
	struct toggle toggles[MAX_SWITCHES];
	struct bpf_program *program = NULL;
	struct functions functions;
	uint32_t combinations = 1;
	char text[512];
	size_t n, i = 0;
	bool changed;
	int rc;

	assert_non_null(obj);
	n = find_toggles(obj, toggles);
	for (size_t t = 0; t < n; t++)
		combinations *= toggles[t].n_values;
	changed = combine(obj, toggles, n, number, text, sizeof(text));
	while ((program = bpf_object__next_program(obj, program))) {
		assert_true(i < MAX_PROGRAMS);
		logs[i][0] = '\0';
		bpf_program__set_log_buf(program, logs[i++], sizeof(logs[0]));
		bpf_program__set_log_level(program, 4); /* BPF_LOG_STATS */
	}
	rc = bpf_object__load(obj);
	if (rc < 0)
		fail_msg("%s with%s: %s\n%s", compiler, text, strerror(-rc), logs[0]);
	i = 0;
	while ((program = bpf_object__next_program(obj, program))) {
		functions_read(&functions, program, logs[i]);
		if (deepest(&functions, 0) > STACK_MOST)
			fail_msg("%s with%s: %u bytes of stack, of %u that Linux 6.1 allows",
				 compiler, text, deepest(&functions, 0), STACK_MOST);
		keep(compiler, bpf_program__name(program), cost_of(program, logs[i++]), !changed);
	}
	bpf_object__close(obj);
	return combinations;
}

static void measure(const char *object)
{
	const char *build = getenv("SLUICE_BUILD");
	uint32_t combinations = 1;
	char path[256];
	char compiler[32];

	snprintf(path, sizeof(path), "%s/%s", build ? build : "build", object);
	compiler_of(path, compiler);
	for (uint32_t i = 0; i < combinations; i++)
		combinations = load_one(path, compiler, i);
	assert_true(combinations > 1); /* test_clock is one */
	printf("%s: %u combinations of switches load\n", compiler, combinations);
}

static void read_limits(FILE *f)
{
	char line[256];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		struct row r = {0};
		uint32_t *of = r.cost.of;

		if (line[0] == '#' || sscanf(line, "kernel %31s", recorded.kernel) == 1)
			continue;
		assert_int_equal(sscanf(line, "%31s %31s %15s %u %u %u %u", r.compiler, r.program,
					r.which, &of[0], &of[1], &of[2], &of[3]),
				 7);
		*row_put(&recorded, r.compiler, r.program, r.which) = r;
	}
	fclose(f);
}

static void loads_within_limits(const char *object)
{
	char kernel[32];
	size_t first = measured.n;
	int n = 0;

	measure(object);
	this_kernel(kernel);
	for (size_t i = first; i < measured.n; i++) {
		const struct row *now = &measured.items[i];
		const struct row *limit = row_get(&recorded, now->compiler, now->program,
						  now->which);

		if (!limit)
			fail_msg("%s of %s is not in " LIMITS ": 'make bpf-limits' and commit it",
				 now->program, now->compiler);
		n += grown(now, limit, strcmp(kernel, recorded.kernel) == 0);
	}
	assert_int_equal(n, 0);
}

static void default_compiler(void **state)
{
	(void)state;
	loads_within_limits(objects[0]);
}

static void newer_compiler(void **state)
{
	(void)state;
	loads_within_limits(objects[1]);
}

static void growth_is_seen(void **state)
{
	const struct row limit = {"clang-0", "program", "test", {{1000, 100, 100, 64}}};
	struct row now = {"clang-0", "program", "test", {{1100, 110, 110, 70}}};

	(void)state;
	assert_int_equal(grown(&now, &limit, true), 0);
	now.cost = (struct cost){{1101, 111, 111, 72}};
	assert_int_equal(grown(&now, &limit, true), 4);
	assert_int_equal(grown(&now, &limit, false), 2); /* what the kernel counts differs */
	now.cost = (struct cost){{1, 1, 1, 0}};
	assert_int_equal(grown(&now, &limit, true), 0);
}

static void stack_is_read(void **state)
{
	(void)state;
	assert_int_equal(stack_of("verification time 9 usec\nstack depth 96\nprocessed 3"), 96);
	assert_int_equal(stack_of("stack depth 96+0+16+8\n"), 120);
}

static int record(void)
{
	FILE *f;

	for (size_t i = 0; i < N_OBJECTS; i++)
		measure(objects[i]);
	f = fopen(LIMITS, "w");
	if (!f) {
		perror(LIMITS);
		return 1;
	}
	this_kernel(measured.kernel);
	fprintf(f,
		"# What the guard's programs cost, written by 'make bpf-limits'; "
		"tests/bpf/test_load.c fails when one grows by more\n"
		"# than %d %% over it. Instructions verified and translated (on this kernel), "
		"compiled; bytes of stack, of all functions together.\n"
		"kernel %s\n",
		TOLERANCE, measured.kernel);
	for (size_t i = 0; i < measured.n; i++) {
		const struct row *r = &measured.items[i];

		fprintf(f, "%s %-16s %-8s %6u %6u %6u %4u\n", r->compiler, r->program, r->which,
			r->cost.of[0], r->cost.of[1], r->cost.of[2], r->cost.of[3]);
	}
	return fclose(f) ? 1 : 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growth_is_seen),
		cmocka_unit_test(stack_is_read),
		cmocka_unit_test(default_compiler),
		cmocka_unit_test(newer_compiler),
	};

	libbpf_set_print(quiet);
	if (argc > 1 && strcmp(argv[1], "--record") == 0)
		return record();
	read_limits(fopen(LIMITS, "r"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
