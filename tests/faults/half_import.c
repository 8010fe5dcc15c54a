/* A function that the host gives it. */
double half(double number);
__attribute__((import_module("env"), import_name("half"))) double given_half(double number);

double half(double number)
{
    return given_half(number);
}
