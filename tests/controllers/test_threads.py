from threadpoolctl import threadpool_info

from controllers.threads import one_thread


def test_linear_algebra_takes_one_thread_for_as_long_as_asked() -> None:
    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = threads()
    with one_thread():
        assert set(threads()) <= {1}
    assert threads() == before
