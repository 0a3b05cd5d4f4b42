// All of the standard library's headers, and enough use of them to instantiate a good part.
#include <bits/stdc++.h>

struct shape {
	virtual ~shape() = default;
	virtual double area() const = 0;
};

template <int N> struct polygon : shape {
	std::array<std::complex<double>, N> corner;
	explicit polygon(double size)
	{
		for (int i = 0; i < N; i++)
			corner[i] = std::polar(size, 2 * 3.14159265358979 * i / N);
	}
	double area() const override
	{
		double sum = 0;
		for (int i = 0; i < N; i++)
			sum += std::imag(std::conj(corner[i]) * corner[(i + 1) % N]);
		return sum / 2;
	}
};

template <int... N> static auto make_shapes(std::integer_sequence<int, N...>)
{
	std::vector<std::unique_ptr<shape>> shapes;
	(shapes.push_back(std::make_unique<polygon<N + 3>>(1.0 + N)), ...);
	return shapes;
}

using value = std::variant<long, double, std::string, std::vector<int>>;

int main()
{
	double total = 0;
	for (const auto &s : make_shapes(std::make_integer_sequence<int, 30>()))
		total += s->area();
	std::cout << std::fixed << std::setprecision(3) << total << '\n';

	std::mt19937 random(7);
	std::map<std::string, value> values;
	std::unordered_map<std::string, std::deque<long>> queues;
	for (int i = 0; i < 20000; i++) {
		std::string key = "key" + std::to_string(random() % 3000);
		switch (random() % 4) {
		case 0:
			values[key] = long(i);
			break;
		case 1:
			values[key] = i / 7.0;
			break;
		case 2:
			values[key] = std::string(random() % 200, 'x');
			break;
		default:
			values[key] = std::vector<int>(random() % 100, i);
		}
		queues[key].push_back(i);
	}
	long sum = 0;
	for (const auto &[key, v] : values)
		sum += std::visit(
			[](const auto &x) -> long {
				if constexpr (std::is_arithmetic_v<std::decay_t<decltype(x)>>)
					return long(x);
				else
					return long(x.size());
			},
			v);
	std::cout << values.size() << ' ' << sum << ' ' << queues.size() << '\n';

	std::regex pattern("([a-z]+)([0-9]+)");
	std::smatch match;
	std::string text = "slab42 page7 zone3";
	while (std::regex_search(text, match, pattern)) {
		std::cout << match[1] << '=' << match[2] << '\n';
		text = match.suffix();
	}

	std::vector<std::future<long>> futures;
	for (int i = 0; i < 8; i++)
		futures.push_back(std::async(std::launch::async, [i] {
			std::list<std::string> list;
			for (int j = 0; j < 5000; j++)
				list.push_front(std::string(j % 90, 'a' + i));
			list.sort();
			list.unique();
			return long(list.size());
		}));
	for (auto &f : futures)
		std::cout << f.get() << '\n';
}
